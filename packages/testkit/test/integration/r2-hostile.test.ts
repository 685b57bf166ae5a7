import { readdirSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { startR2 } from '@cays/testkit'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { R2Disk } from '../../src/r2-disk.ts'
import { readR2Options } from '../../src/r2-options.ts'
import { EmulatedR2, type R2Server } from '../../src/r2-server.ts'
import { codeOf, exchange, parseReply, sendRaw, signedRequest } from './raw-http.ts'

let r2: R2Server
beforeAll(async () => {
  r2 = await startR2({ buckets: ['media', 'other'] })
})
afterAll(() => r2?.close())

const put = (target: string, body: string, headers: Record<string, string> = {}) =>
  exchange(r2, { method: 'PUT', target, body, headers })
const post = (target: string, body: string) => exchange(r2, { method: 'POST', target, body })
const isAlive = async () => (await exchange(r2, { target: '/media?list-type=2' })).status

function filesUnder(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
}

describe('keys that try to leave the folder', () => {
  test.each([
    '/media/../../../../tmp/escaped',
    '/media/..%2f..%2f..%2ftmp%2fescaped',
    '/media/%2e%2e/%2e%2e/escaped',
    '/media//etc/passwd',
    '/media/..\\..\\escaped',
    '/media/.',
    '/media/..',
    '/media/CON',
    '/media/a/%0d%0aset-cookie:%20x',
    `/media/${'%F0%9F%8F%9D'.repeat(256)}`,
  ])('%s is only a name', async (target) => {
    const stored = await put(target, 'hostile')
    expect(stored.status).toBe(200)
    const read = await exchange(r2, { target })
    expect([read.status, read.body]).toEqual([200, 'hostile'])
    const outside = filesUnder(r2.dir).filter(
      (path) =>
        !/\/(lock|blobs\/[0-9a-f]{32}|buckets\/[a-z]+\/(bucket|objects\/[0-9a-f]{64})\.json)$/.test(path),
    )
    expect(outside).toEqual([])
    const { status } = await exchange(r2, { method: 'DELETE', target })
    expect(status).toBe(204)
  })

  test.each([
    ['NUL', '/media/a%00b', 'InvalidObjectName'],
    ['bytes that are no UTF-8', '/media/%ff%fe', 'InvalidURI'],
    ['an overlong slash', '/media/%c0%af', 'InvalidURI'],
    ['a surrogate', '/media/%ed%a0%80', 'InvalidURI'],
    ['1,025 bytes', `/media/${'x'.repeat(1025)}`, 'InvalidObjectName'],
    ['half an escape', '/media/%2', 'InvalidURI'],
  ])('a key with %s is refused', async (_, target, code) => {
    expect(codeOf(await put(target, 'x'))).toBe(code)
  })

  test.each(['..', '.', '..%2f', 'UPPER', 'a', 'a_b', `${'x'.repeat(64)}`, '-a-', 'a.b.c'])(
    'a bucket cannot be called %s',
    async (name) => {
      const { status } = await put(`/${name}`, '')
      expect([400, 405]).toContain(status)
    },
  )

  test('a stored header cannot break out of its line', async () => {
    const target = '/media/x?response-content-disposition=a%0D%0Aset-cookie%3A%20b'
    await put('/media/x', 'x')
    const reply = await exchange(r2, { target })
    expect([reply.status, reply.head.includes('set-cookie')]).toEqual([400, false])
  })
})

describe('requests that are no requests', () => {
  test.each([
    ['noise', '\u0000\u0001\u0002\r\n\r\n'],
    ['TLS', Buffer.from('16030100a5010000a10303', 'hex')],
    ['no version', 'GET /\r\n\r\n'],
    ['an absolute target', 'GET http://127.0.0.1/media/a HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n'],
    [
      'a target with raw bytes',
      Buffer.from('GET /media/\xff HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n', 'latin1'),
    ],
    ['no host', 'GET /media/a HTTP/1.1\r\nconnection: close\r\n\r\n'],
    ['two lengths', 'PUT /media/a HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab'],
    [
      'length and chunks',
      'PUT /media/a HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    ['a negative length', 'PUT /media/a HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n'],
    ['a folded header', 'GET /media/a HTTP/1.1\r\nhost: a\r\nx: a\r\n b\r\nconnection: close\r\n\r\n'],
    ['40 kB of headers', `GET / HTTP/1.1\r\nhost: a\r\n${`x-a: ${'y'.repeat(1000)}\r\n`.repeat(40)}\r\n`],
    ['a method of its own', 'BREW /media/a HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n'],
    ['TRACE', 'TRACE /media/a HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n'],
    ['CONNECT', 'CONNECT 127.0.0.1:22 HTTP/1.1\r\nhost: a\r\n\r\n'],
    [
      'an upgrade',
      'GET /media/a HTTP/1.1\r\nhost: a\r\nconnection: upgrade, close\r\nupgrade: websocket\r\n\r\n',
    ],
  ])('%s are refused, and the server lives', async (_, bytes) => {
    const { status } = parseReply(await sendRaw(r2.port, bytes, 300))
    expect(status === 0 || (status >= 400 && status < 500)).toBe(true)
    expect(await isAlive()).toBe(200)
  })

  test('a second request behind a refused body is not executed', async () => {
    const smuggled = signedRequest(r2, { method: 'DELETE', target: '/media/kept' })
    await put('/media/kept', 'x')
    const refused = signedRequest(r2, {
      method: 'PUT',
      target: '/media/a',
      body: smuggled,
      secret: 'wrong',
    })
    const replies = await sendRaw(r2.port, refused)
    expect(replies.match(/HTTP\/1\.1/g)).toHaveLength(1)
    expect((await exchange(r2, { target: '/media/kept' })).status).toBe(200)
  })

  test('several requests on one connection are answered in order', async () => {
    const one = signedRequest(r2, { method: 'PUT', target: '/media/pipelined', body: 'one' })
    const two = signedRequest(r2, { target: '/media/none' })
    const last = signedRequest(r2, { method: 'HEAD', target: '/other', headers: { connection: 'close' } })
    const replies = await sendRaw(r2.port, one + two + last)
    expect(replies.match(/HTTP\/1\.1 \d{3}/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 404', 'HTTP/1.1 200'])
  })
})

describe('payloads', () => {
  test('without length are refused with 411', async () => {
    const reply = await exchange(r2, {
      method: 'PUT',
      target: '/media/a',
      payloadHash: 'UNSIGNED-PAYLOAD',
      headers: { 'transfer-encoding': 'chunked' },
      body: '1\r\na\r\n0\r\n\r\n',
    })
    expect([reply.status, codeOf(reply)]).toEqual([411, 'MissingContentLength'])
  })

  test('that lie about their decoded length are refused', async () => {
    for (const decoded of ['2', '4', '-1', '1e3', '9'.repeat(20)]) {
      const { status } = await exchange(r2, {
        method: 'PUT',
        target: '/media/lied',
        payloadHash: 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
        headers: { 'x-amz-decoded-content-length': decoded, 'content-encoding': 'aws-chunked' },
        body: '3\r\nabc\r\n0\r\n\r\n',
      })
      expect(status).toBe(400)
    }
    expect(r2.inspect('media').objects).not.toContain('lied')
  })

  test('that announce more than 5 GiB are refused before they are sent', async () => {
    const reply = await exchange(r2, {
      method: 'PUT',
      target: '/media/huge',
      payloadHash: 'UNSIGNED-PAYLOAD',
      headers: { 'content-length': String(6 * 1024 ** 3) },
    })
    expect(codeOf(reply)).toBe('EntityTooLarge')
  })

  test('that end early leave nothing behind', async () => {
    const before = readdirSync(join(r2.dir, 'blobs')).length
    const request = signedRequest(r2, {
      method: 'PUT',
      target: '/media/cut-off',
      payloadHash: 'UNSIGNED-PAYLOAD',
      headers: { 'content-length': '1000000' },
      body: 'x'.repeat(1000),
    })
    await sendRaw(r2.port, request, 200)
    await expect.poll(() => readdirSync(join(r2.dir, 'blobs')).length).toBe(before)
    expect(r2.inspect('media').objects).not.toContain('cut-off')
  })

  test.each([
    ['POST', '/media?delete'],
    ['PUT', '/media?cors'],
    ['PUT', '/media?lifecycle'],
    ['PUT', '/third-bucket'],
    ['POST', '/media/a?uploadId=abc'],
  ])('%s %s refuses an entity bomb and an XML body that is too large', async (method, target) => {
    const bomb = `<!DOCTYPE d [<!ENTITY a "${'a'.repeat(1000)}"><!ENTITY b "${'&a;'.repeat(1000)}">]><Delete>&b;</Delete>`
    expect(codeOf(await exchange(r2, { method, target, body: bomb }))).toMatch(/MalformedXML|NoSuchUpload/)
    const large = await exchange(r2, {
      method,
      target,
      body: `<Delete>${'x'.repeat(5 * 1024 * 1024)}</Delete>`,
    })
    expect([400, 404]).toContain(large.status)
    expect(await isAlive()).toBe(200)
  })

  test('with more than 1,000 keys to delete are refused', async () => {
    const objects = (count: number) => `<Delete>${'<Object><Key>n</Key></Object>'.repeat(count)}</Delete>`
    expect(codeOf(await post('/media?delete', objects(1001)))).toBe('MalformedXML')
    expect((await post('/media?delete', objects(1000))).status).toBe(200)
  })

  test('with a forged upload id reach no other folder', async () => {
    for (const id of ['..', '../../objects', '%2e%2e%2fobjects', 'x'.repeat(500)]) {
      const target = `/media/a?uploadId=${encodeURIComponent(id)}`
      expect(codeOf(await exchange(r2, { target }))).toBe('NoSuchUpload')
      expect((await exchange(r2, { method: 'DELETE', target })).status).toBe(404)
    }
  })

  test('named after what every object inherits are plain metadata', async () => {
    const meta = { 'x-amz-meta-__proto__': 'a', 'x-amz-meta-constructor': 'b' }
    await put('/media/__proto__', 'x', meta)
    const { head } = await exchange(r2, { target: '/media/__proto__' })
    expect(head).toMatch(/x-amz-meta-__proto__: a/)
    expect(head).toMatch(/x-amz-meta-constructor: b/)
    expect(JSON.stringify({})).toBe('{}')
  })
})

describe('slow clients', () => {
  const patience = { base: 300, bytesPerSecond: 100_000_000 }
  let impatient: R2Server
  beforeAll(async () => {
    const disk = new R2Disk(join(r2.dir, '..', `${r2.dir.split('/').at(-1)}-slow`))
    const removeFolder = async () => disk.dropFolder('.')
    const server = new EmulatedR2(readR2Options({ buckets: ['media'] }), disk, removeFolder, patience)
    await server.start()
    impatient = server
  })
  afterAll(() => impatient?.close())

  test('that drip a body are cut off', async () => {
    const options = { method: 'PUT', target: '/media/drip', payloadHash: 'UNSIGNED-PAYLOAD' }
    const head = signedRequest(impatient, { ...options, headers: { 'content-length': '1000' } })
    const started = performance.now()
    expect(await sendRaw(impatient.port, `${head}x`, 20_000)).toBe('')
    expect(performance.now() - started).toBeLessThan(15_000)
    expect(impatient.inspect('media').objects).toEqual([])
  })

  test('that never read a download are cut off', async () => {
    const body = 'x'.repeat(8 * 1024 * 1024)
    await exchange(impatient, { method: 'PUT', target: '/media/big', body })
    const ended = new Promise((resolve) => impatient.on('request', resolve))
    const socket = connect(impatient.port, '127.0.0.1').on('error', () => {})
    socket.pause()
    socket.write(signedRequest(impatient, { target: '/media/big' }))
    await expect(ended).resolves.toMatchObject({ operation: 'GetObject', key: 'big' })
    socket.destroy()
  })
})

test('an upload whose bucket is deleted meanwhile finds no bucket and leaves nothing', async () => {
  await put('/fleeting', '')
  const blobs = readdirSync(join(r2.dir, 'blobs')).length
  using _ = r2.fault({ operation: 'PutObject', bytesPerSecond: 2_000_000 })
  const upload = put('/fleeting/a', 'x'.repeat(1_000_000))
  await expect.poll(() => readdirSync(join(r2.dir, 'blobs')).length).toBe(blobs + 1)
  expect((await exchange(r2, { method: 'DELETE', target: '/fleeting' })).status).toBe(204)
  expect(codeOf(await upload)).toBe('NoSuchBucket')
  await expect.poll(() => readdirSync(join(r2.dir, 'blobs')).length).toBe(blobs)
})

test('a hundred connections that send nothing do not keep others waiting', async () => {
  let closed = 0
  const idle = Array.from({ length: 100 }, async () => {
    await sendRaw(r2.port, 'GET /media', 1500)
    closed += 1
  })
  expect(await isAlive()).toBe(200)
  expect(closed).toBe(0)
  await Promise.all(idle)
})

test('no answer and no file holds a secret', async () => {
  const refused = await exchange(r2, { target: '/media/a', secret: 'wrong' })
  expect(refused.body).not.toContain(r2.secretAccessKey)
  for (const path of filesUnder(r2.dir)) expect(readFileSync(path).includes(r2.secretAccessKey)).toBe(false)
})
