import { type R2Server, startR2 } from '@cays/testkit'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Bucket, type Credentials, createStorage, memory, r2, type Storage } from '../../src/index.ts'
import { earlier } from '../support/earlier.ts'

let server: R2Server
const opened: Storage<'files'>[] = []
let files: Bucket

function open(credentials: Credentials): Bucket {
  const { accountId, url: endpoint } = server
  const storage = createStorage({
    buckets: { files: r2({ accountId, bucket: 'files', endpoint, credentials }) },
  })
  opened.push(storage)
  return storage.bucket('files')
}

beforeAll(async () => {
  server = await startR2({ buckets: ['files'] })
  files = open({ accessKeyId: server.accessKeyId, secretAccessKey: server.secretAccessKey })
  await files.put('mine/a', 'a')
  await files.put('other/b', 'b')
})
afterAll(async () => {
  for (const storage of opened) await storage.close()
  await server?.close()
})

const denied = { code: 'STORAGE_ERR_DENIED' }

it('a grant reads what lies under its prefix and nothing else', async () => {
  const reader = open(files.grant({ prefix: 'mine/' }))
  expect(await (await reader.get('mine/a')).text()).toBe('a')
  expect(await (await fetch(reader.signedUrl('mine/a'))).text()).toBe('a')
  await expect(reader.get('other/b')).rejects.toMatchObject(denied)
  expect((await fetch(reader.signedUrl('other/b'))).status).toBe(403)
  await expect(reader.put('mine/new', 'x')).rejects.toMatchObject(denied)
})

it('a grant writes where it may, and cannot be widened', async () => {
  const granted = files.grant({ prefix: 'mine/', permission: 'object-read-write', expiresIn: '1m' })
  const writer = open(granted)
  await writer.put('mine/new', 'x')
  await expect(writer.put('other/new', 'x')).rejects.toMatchObject(denied)
  const [, jwt = ''] = Buffer.from(granted.sessionToken, 'base64').toString().split('jwt/')
  const [head = '', body = '', signature = ''] = jwt.split('.')
  const claims = JSON.parse(Buffer.from(body, 'base64url').toString())
  const wider = Buffer.from(JSON.stringify({ ...claims, paths: {} })).toString('base64url')
  const sessionToken = Buffer.from(`jwt/${head}.${wider}.${signature}`).toString('base64')
  await expect(open({ ...granted, sessionToken }).get('other/b')).rejects.toMatchObject(denied)
})

it('a grant ends', async () => {
  const over = await earlier(async () => files.grant({ prefix: 'mine/', expiresIn: '1m' }))
  await expect(open(over).get('mine/a')).rejects.toMatchObject(denied)
})

it('is refused by buckets that are not of R2, and without a prefix', async () => {
  await using other = createStorage({ buckets: { files: memory() } })
  const unsupported = expect.objectContaining({ code: 'STORAGE_ERR_UNSUPPORTED' })
  const local: Bucket = other.bucket('files')
  expect(() => local.grant({ prefix: 'a/' })).toThrow(unsupported)
  const granted = open(files.grant({ prefix: 'mine/' }))
  expect(() => granted.grant({ prefix: 'mine/' })).toThrow(unsupported)
  expect(() => files.grant({ prefix: '' })).toThrow(expect.objectContaining({ code: 'STORAGE_ERR_OPTION' }))
  expect(() => files.grant({ prefix: '../' })).toThrow(expect.objectContaining({ code: 'STORAGE_ERR_KEY' }))
})
