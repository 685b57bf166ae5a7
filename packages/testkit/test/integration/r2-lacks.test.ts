import { type R2Server, startR2 } from '@cays/testkit'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { codeOf, exchange, parseReply, sendRaw } from './raw-http.ts'

let r2: R2Server
beforeAll(async () => {
  r2 = await startR2({ buckets: ['media'] })
  await exchange(r2, { method: 'PUT', target: '/media/a', body: 'untouched' })
})
afterAll(() => r2?.close())

describe('what R2 lacks is refused with 501 rather than ignored', () => {
  const policy = '--b\r\ncontent-disposition: form-data; name="key"\r\n\r\na\r\n--b--\r\n'
  test('a POST policy upload, which carries no signature of its own', async () => {
    const head = `POST /media HTTP/1.1\r\nhost: a\r\ncontent-type: multipart/form-data; boundary=b\r\ncontent-length: ${policy.length}\r\nconnection: close\r\n\r\n`
    const reply = parseReply(await sendRaw(r2.port, head + policy))
    expect([reply.status, codeOf(reply)]).toEqual([501, 'NotImplemented'])
  })

  test.each([
    ['GET', '/media?acl'],
    ['PUT', '/media?acl'],
    ['GET', '/media/a?acl'],
    ['PUT', '/media/a?acl'],
    ['PUT', '/media/a?tagging'],
    ['GET', '/media/a?tagging'],
    ['GET', '/media?versioning'],
    ['GET', '/media?versions'],
    ['GET', '/media/a?versionId=1'],
    ['PUT', '/media?policy'],
    ['GET', '/media?object-lock'],
    ['PUT', '/media/a?retention'],
    ['PUT', '/media/a?legal-hold'],
    ['PUT', '/media?notification'],
    ['PUT', '/media?replication'],
    ['PUT', '/media?website'],
    ['GET', '/media/a?attributes'],
    ['POST', '/media/a?restore'],
    ['POST', '/media/a?select&select-type=2'],
  ])('%s %s', async (method, target) => {
    const reply = await exchange(r2, { method, target, body: '' })
    expect([reply.status, codeOf(reply)]).toEqual([501, 'NotImplemented'])
  })

  test.each([
    ['x-amz-acl', 'public-read'],
    ['x-amz-grant-read', 'id=1'],
    ['x-amz-tagging', 'a=b'],
    ['x-amz-object-lock-mode', 'GOVERNANCE'],
    ['x-amz-server-side-encryption', 'aws:kms'],
    ['x-amz-server-side-encryption-aws-kms-key-id', 'k'],
    ['x-amz-server-side-encryption-customer-algorithm', 'AES256'],
    ['x-amz-website-redirect-location', '/b'],
    ['x-amz-expected-bucket-owner', '1'],
    ['x-amz-request-payer', 'requester'],
  ])('a PUT with %s', async (name, value) => {
    const reply = await exchange(r2, {
      method: 'PUT',
      target: '/media/a',
      body: 'changed',
      headers: { [name]: value },
    })
    expect([reply.status, codeOf(reply)]).toEqual([501, 'NotImplemented'])
    expect((await exchange(r2, { target: '/media/a' })).body).toBe('untouched')
  })

  test('If-None-Match on a copy, which is for R2 to ignore and for S3 to obey', async () => {
    const headers = { 'x-amz-copy-source': '/media/a', 'if-none-match': '*' }
    expect((await exchange(r2, { method: 'PUT', target: '/media/b', headers })).status).toBe(501)
  })
})

test('an unknown storage class is refused', async () => {
  const headers = { 'x-amz-storage-class': 'GLACIER' }
  const reply = await exchange(r2, { method: 'PUT', target: '/media/b', body: 'x', headers })
  expect(codeOf(reply)).toBe('InvalidStorageClass')
})

test('a bucket can be named by the host instead of the path', async () => {
  const headers = { host: `media.localhost:${r2.port}` }
  expect((await exchange(r2, { target: '/a', headers })).body).toBe('untouched')
  expect((await exchange(r2, { target: '/media/a', headers })).status).toBe(404)
})

test('a bucket is made by an upload that asks for it', async () => {
  const headers = { 'cf-create-bucket-if-missing': 'true' }
  expect((await exchange(r2, { method: 'PUT', target: '/made/b', body: 'x', headers })).status).toBe(200)
  expect(r2.inspect('made').objects).toEqual(['b'])
})

test('abandoned uploads are told with R2’s default lifecycle, and end after 7 days', async () => {
  expect((await exchange(r2, { target: '/media?lifecycle' })).body).toContain('<DaysAfterInitiation>7<')
  await exchange(r2, { method: 'POST', target: '/media/old?uploads' })
  await exchange(r2, { method: 'POST', target: '/media/new?uploads' })
  r2.age('media', 'old', '8d')
  const { body } = await exchange(r2, { target: '/media?uploads' })
  expect(body).toContain('<Key>new</Key>')
  expect(body).not.toContain('<Key>old</Key>')
  expect(r2.inspect('media').uploads).toEqual(['new'])
})
