import { createHash, createHmac } from 'node:crypto'
import { type R2Server, startR2 } from '@cays/testkit'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { codeOf, exchange } from './raw-http.ts'

const reader = {
  accessKeyId: 'reader',
  secretAccessKey: 'reader-secret',
  permission: 'object-read-only',
} as const
let r2: R2Server

beforeAll(async () => {
  const admin = { accessKeyId: 'admin', secretAccessKey: 'admin-secret' }
  r2 = await startR2({ buckets: ['media', 'other'], credentials: [admin, reader] })
  for (const key of ['u/1/a', 'u/2/b', 'shared']) await put(`/media/${key}`, 'x')
})
afterAll(() => r2?.close())

const put = (target: string, body: string) => exchange(r2, { method: 'PUT', target, body })

/** What R2's documentation calls local signing. */
function mint(claims: object, { secret = r2.secretAccessKey, header = { alg: 'HS256', typ: 'JWT' } } = {}) {
  const now = Math.floor(Date.now() / 1000)
  const standard = {
    sub: r2.accountId,
    iss: r2.accessKeyId,
    aud: `127.0.0.1:${r2.port}`,
    iat: now,
    exp: now + 900,
  }
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const signed = `${part(header)}.${part({ ...standard, bucket: 'media', scope: 'object-read-write', ...claims })}`
  const jwt = `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`
  return {
    secret: createHash('sha256').update(jwt).digest('hex'),
    token: Buffer.from(`jwt/${jwt}`).toString('base64'),
  }
}

async function attempt(
  credentials: { secret: string; token: string },
  method: string,
  target: string,
  more = {},
) {
  const reply = await exchange(r2, { method, target, ...credentials, ...more })
  return reply.status < 300 ? reply.status : codeOf(reply)
}

describe('temporary credentials', () => {
  test('do what their scope allows in their bucket alone', async () => {
    const credentials = mint({ scope: 'object-read-only' })
    expect(await attempt(credentials, 'GET', '/media/u/1/a')).toBe(200)
    expect(await attempt(credentials, 'GET', '/media?list-type=2')).toBe(200)
    expect(await attempt(credentials, 'PUT', '/media/u/1/a', { body: 'y' })).toBe('AccessDenied')
    expect(await attempt(credentials, 'DELETE', '/media/u/1/a')).toBe('AccessDenied')
    expect(await attempt(credentials, 'GET', '/other/a')).toBe('AccessDenied')
    expect(await attempt(credentials, 'GET', '/')).toBe('AccessDenied')
    expect(await attempt(credentials, 'PUT', '/new-bucket', { body: '' })).toBe('AccessDenied')
  })

  test('reach only the prefixes and objects they name', async () => {
    const credentials = mint({ paths: { prefixPaths: ['u/1/'], objectPaths: ['shared'] } })
    expect(await attempt(credentials, 'GET', '/media/u/1/a')).toBe(200)
    expect(await attempt(credentials, 'GET', '/media/shared')).toBe(200)
    expect(await attempt(credentials, 'GET', '/media/shared-not')).toBe('AccessDenied')
    expect(await attempt(credentials, 'GET', '/media/u/2/b')).toBe('AccessDenied')
    expect(await attempt(credentials, 'GET', '/media/u/1')).toBe('AccessDenied')
    expect(await attempt(credentials, 'GET', '/media?list-type=2&prefix=u%2F1%2F')).toBe(200)
    expect(await attempt(credentials, 'GET', '/media?list-type=2&prefix=u%2F')).toBe('AccessDenied')
    expect(await attempt(credentials, 'GET', '/media?list-type=2')).toBe('AccessDenied')
    const copied = { body: '', headers: { 'x-amz-copy-source': '/media/u/2/b' } }
    expect(await attempt(credentials, 'PUT', '/media/u/1/copy', copied)).toBe('AccessDenied')
  })

  test('delete many only where they reach', async () => {
    await put('/media/u/1/gone', 'x')
    const body = '<Delete><Object><Key>u/1/gone</Key></Object><Object><Key>u/2/b</Key></Object></Delete>'
    const credentials = mint({ paths: { prefixPaths: ['u/1/'] } })
    const reply = await exchange(r2, { method: 'POST', target: '/media?delete', body, ...credentials })
    expect(reply.body).toMatch(/<Deleted><Key>u\/1\/gone<\/Key><\/Deleted>/)
    expect(reply.body).toMatch(/<Error><Key>u\/2\/b<\/Key><Code>AccessDenied<\/Code>/)
    expect(r2.inspect('media').objects).toContain('u/2/b')
  })

  test('do only the actions they list, within their scope', async () => {
    const credentials = mint({ scope: 'object-read-only', actions: ['GetObject', 'PutObject'] })
    expect(await attempt(credentials, 'GET', '/media/shared')).toBe(200)
    expect(await attempt(credentials, 'HEAD', '/media/shared')).toBeUndefined()
    expect(await attempt(credentials, 'GET', '/media?list-type=2')).toBe('AccessDenied')
    expect(await attempt(credentials, 'PUT', '/media/shared', { body: 'y' })).toBe('AccessDenied')
  })

  test('need neither more nor less than scope or actions', async () => {
    expect(await attempt(mint({ scope: undefined, actions: ['GetObject'] }), 'GET', '/media/shared')).toBe(
      200,
    )
    expect(await attempt(mint({ scope: undefined }), 'GET', '/media/shared')).toBe('Unauthorized')
    expect(await attempt(mint({ scope: 'everything' }), 'GET', '/media/shared')).toBe('Unauthorized')
  })

  test('never do more than the token they come from', async () => {
    const credentials = mint({ iss: 'reader' }, { secret: reader.secretAccessKey })
    const as = { accessKeyId: 'reader' }
    expect(await attempt(credentials, 'GET', '/media/shared', as)).toBe(200)
    expect(await attempt(credentials, 'PUT', '/media/shared', { ...as, body: 'y' })).toBe('AccessDenied')
  })

  test('end', async () => {
    const now = Math.floor(Date.now() / 1000)
    expect(await attempt(mint({ exp: now - 1 }), 'GET', '/media/shared')).toBe('ExpiredRequest')
    expect(await attempt(mint({ exp: undefined }), 'GET', '/media/shared')).toBe('Unauthorized')
    expect(await attempt(mint({ iat: now + 3600 }), 'GET', '/media/shared')).toBe('Unauthorized')
  })

  test.each([
    ['signed with another secret', () => mint({}, { secret: 'other' })],
    ['for another account', () => mint({ sub: 'other' })],
    ['for another host', () => mint({ aud: 'account.r2.cloudflarestorage.com' })],
    ['of another key', () => mint({ iss: 'reader' })],
    ['without a signature', () => mint({}, { header: { alg: 'none', typ: 'JWT' } })],
    ['with paths that are no lists', () => mint({ paths: { prefixPaths: 'u/' } })],
    ['with actions that are no list', () => mint({ actions: 'GetObject' })],
    ['without a bucket', () => mint({ bucket: undefined })],
  ])('%s are refused', async (_, make) => {
    expect(await attempt(make(), 'GET', '/media/shared')).toBe('Unauthorized')
  })

  test.each([
    '',
    'nonsense',
    Buffer.from('jwt/a.b').toString('base64'),
    Buffer.from('jwt/e30.e30.e30.x').toString('base64'),
  ])('of the form %j are refused', async (token) => {
    const { secret } = mint({})
    expect(await attempt({ secret, token }, 'GET', '/media/shared')).toBe('Unauthorized')
  })

  test('need their own secret, not the one they come from', async () => {
    const { token } = mint({})
    expect(await attempt({ secret: r2.secretAccessKey, token }, 'GET', '/media/shared')).toBe(
      'SignatureDoesNotMatch',
    )
    const { secret } = mint({})
    expect(codeOf(await exchange(r2, { target: '/media/shared', secret }))).toBe('SignatureDoesNotMatch')
  })
})

test('a token of R2 does only what its permission allows', async () => {
  const as = { accessKeyId: 'reader', secret: 'reader-secret' }
  expect((await exchange(r2, { target: '/media/shared', ...as })).status).toBe(200)
  expect(codeOf(await exchange(r2, { method: 'PUT', target: '/media/shared', body: 'y', ...as }))).toBe(
    'AccessDenied',
  )
  expect(codeOf(await exchange(r2, { target: '/', ...as }))).toBe('AccessDenied')
  expect(codeOf(await exchange(r2, { target: '/media?cors', ...as }))).toBe('AccessDenied')
})
