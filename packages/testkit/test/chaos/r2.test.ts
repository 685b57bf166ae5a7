import { type ChildProcess, spawn } from 'node:child_process'
import { createHash, randomInt } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type R2Server, startR2, superviseChild } from '@cays/testkit'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { codeOf, exchange } from '../integration/raw-http.ts'

const seed = Number(process.env.SEED ?? randomInt(2 ** 31))
const credentials = { accessKeyId: 'key', secretAccessKey: 'secret' }
const fixture = new URL('../fixtures/r2-server.ts', import.meta.url).pathname

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'cays-r2-chaos-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const blobs = () => readdirSync(join(dir, 'blobs')).length
const put = (r2: R2Server, key: string, body: string, headers = {}) =>
  exchange(r2, { method: 'PUT', target: `/media/${key}`, body, headers })

async function startChild(): Promise<{ child: ChildProcess; r2: R2Server }> {
  const args = ['--import', 'tsx', '--conditions=@cays/source', fixture, dir]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  superviseChild(child)
  const [line] = await once(child.stdout ?? child, 'data')
  return { child, r2: { port: Number(line), ...credentials } as unknown as R2Server }
}

async function kill(child: ChildProcess): Promise<void> {
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}

describe('a server that is killed', () => {
  test(`holds old or new objects, no halves and no leftovers, when started again (SEED=${seed})`, async () => {
    const { child, r2 } = await startChild()
    const bodyOf = (key: number, version: number) =>
      `${key}:${version}:`.padEnd(200_000, String(version % 10))
    const keys = [0, 1, 2, 3, 4, 5]
    const confirmed = new Map<number, number>()
    const begun = new Map<number, number>()
    const writers = keys.map(async (key) => {
      for (let version = 1; ; version += 1) {
        begun.set(key, version)
        const { status } = await put(r2, `k${key}`, bodyOf(key, version))
        if (status !== 200) return
        confirmed.set(key, version)
      }
    })
    const upload = await exchange(r2, { method: 'POST', target: '/media/multi?uploads' })
    const uploadId = /<UploadId>(.*?)</.exec(upload.body)?.[1] ?? ''
    await exchange(r2, {
      method: 'PUT',
      target: `/media/multi?partNumber=1&uploadId=${uploadId}`,
      body: 'part',
    })
    await sleep(500 + (seed % 500))
    await kill(child)
    await Promise.all(writers)

    await using again = await startR2({ dir, credentials })
    expect([...confirmed.values()].some((version) => version > 1)).toBe(true)
    for (const key of keys) {
      const version = confirmed.get(key) ?? 0
      const { body, head } = await exchange(again, { target: `/media/k${key}` })
      // The write that was under way may have happened; nothing older than what was confirmed, nothing mixed.
      const allowed = [bodyOf(key, version), bodyOf(key, begun.get(key) ?? version)]
      expect(allowed.includes(body) || version === 0).toBe(true)
      expect(head).toContain(createHash('md5').update(body).digest('hex'))
    }
    const { objects, uploads } = again.inspect('media')
    expect(uploads).toEqual(['multi'])
    expect(blobs()).toBe(objects.length + 1)
    expect((await exchange(again, { target: `/media/multi?uploadId=${uploadId}` })).body).toContain(
      '<Size>4<',
    )
    const leftovers = readdirSync(dir, { recursive: true, encoding: 'utf8' }).filter((name) =>
      name.endsWith('.tmp'),
    )
    expect(leftovers).toEqual([])
  })

  test('leaves nothing of an upload that it was in the middle of', async () => {
    const { child, r2 } = await startChild()
    const half = exchange(r2, {
      method: 'PUT',
      target: '/media/half',
      payloadHash: 'UNSIGNED-PAYLOAD',
      headers: { 'content-length': '2000000' },
      body: 'x'.repeat(1_000_000),
    })
    await expect.poll(blobs).toBe(1)
    await kill(child)
    expect((await half).status).toBe(0)
    await using again = await startR2({ dir, credentials })
    expect(again.inspect('media').objects).toEqual([])
    expect(blobs()).toBe(0)
  })
})

describe('a folder', () => {
  test('belongs to one server at a time', async () => {
    const first = await startR2({ dir, credentials })
    await expect(startR2({ dir, credentials })).rejects.toMatchObject({ code: 'TESTKIT_ERR_STATE' })
    await first.close()
    await using _ = await startR2({ dir, credentials })
  })

  test('with a damaged record is refused by name', async () => {
    const first = await startR2({ dir, credentials, buckets: ['media'] })
    await put(first, 'a', 'x')
    await first.close()
    const [record = ''] = readdirSync(join(dir, 'buckets/media/objects'))
    writeFileSync(join(dir, 'buckets/media/objects', record), '{"key":')
    await expect(startR2({ dir, credentials })).rejects.toMatchObject({
      code: 'TESTKIT_ERR_START_FAILED',
      message: expect.stringContaining(record),
    })
    expect(existsSync(join(dir, 'lock'))).toBe(false)
  })

  test('that is temporary is gone after close, which may be called twice', async () => {
    const r2 = await startR2()
    expect(existsSync(r2.dir)).toBe(true)
    await Promise.all([r2.close(), r2.close()])
    expect(existsSync(r2.dir)).toBe(false)
    await expect(r2.start()).rejects.toMatchObject({ code: 'TESTKIT_ERR_CLOSED' })
  })
})

test('a reader gets one version whole, however often it is replaced and deleted meanwhile', async () => {
  await using r2 = await startR2({ dir, credentials, buckets: ['media'] })
  const version = (n: number) => String(n % 10).repeat(600_000)
  await put(r2, 'k', version(0))
  let stop = false
  const write = async () => {
    for (let n = 1; !stop; n += 1) {
      await put(r2, 'k', version(n))
      if (n % 5 === 0) await exchange(r2, { method: 'DELETE', target: '/media/k' })
    }
  }
  const read = async () => {
    for (let n = 0; n < 40; n += 1) {
      const { status, body } = await exchange(r2, { target: '/media/k' })
      if (status === 404) continue
      expect([status, body.length, new Set(body).size]).toEqual([200, 600_000, 1])
    }
  }
  const writers = [write(), write()]
  await Promise.all([read(), read(), read()]).finally(() => {
    stop = true
  })
  await Promise.all(writers)
  await put(r2, 'k', 'last')
  await expect.poll(blobs).toBe(1)
})

test('faults that strike at random never make a wrong object', async () => {
  await using r2 = await startR2({ dir, credentials, buckets: ['media'], seed })
  r2.fault({ cut: 'after', probability: 0.1 })
  r2.fault({ cut: 50_000, probability: 0.1 })
  r2.fault({ status: 500, when: 'after', probability: 0.1 })
  r2.fault({ status: 503, probability: 0.2 })
  const body = (n: number) => `${n} `.repeat(20_000)
  const outcomes = await Promise.all(
    Array.from(
      { length: 60 },
      async (_, n) => (await put(r2, `k${n}`, body(n), { 'if-none-match': '*' })).status,
    ),
  )
  expect(new Set(outcomes).size, `seed ${seed}`).toBeGreaterThan(1)
  r2.clearFaults()
  for (const [n, status] of outcomes.entries()) {
    const reply = await exchange(r2, { target: `/media/k${n}` })
    if (status === 200) expect(reply.status).toBe(200)
    if (status === 503) expect(codeOf(reply)).toBe('NoSuchKey')
    if (reply.status === 200) expect(reply.body).toBe(body(n))
  }
  await expect.poll(blobs).toBe(r2.inspect('media').objects.length)
})

test.each([
  [{ bucket: 'a' }],
  [{ buckets: ['Not-a-name'] }],
  [{ port: 70_000 }],
  [{ credentials: [] }],
  [{ credentials: { accessKeyId: 'only' } }],
  [{ credentials: { accessKeyId: 'a', secretAccessKey: 'b', permission: 'root' } }],
  [{ cors: [{ AllowedOrigins: ['https://a.example/path'], AllowedMethods: ['GET'] }] }],
  [{ cors: [{ AllowedOrigins: ['*'], AllowedMethods: ['PATCH'] }] }],
  [{ accountId: '../' }],
  [{ faults: [{}] }],
])('options %j are refused', async (options) => {
  await expect(startR2(options as never)).rejects.toMatchObject({ code: 'TESTKIT_ERR_OPTIONS' })
})

test('the record of an object holds no bytes of it and no path of its key', async () => {
  await using r2 = await startR2({ dir, credentials, buckets: ['media'] })
  await put(r2, '../../x', 'content')
  const [record = ''] = readdirSync(join(dir, 'buckets/media/objects'))
  expect(record).toMatch(/^[0-9a-f]{64}\.json$/)
  expect(readFileSync(join(dir, 'buckets/media/objects', record), 'utf8')).not.toContain('content"')
})
