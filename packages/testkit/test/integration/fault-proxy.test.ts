import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { Client } from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { FaultProxy } from '../../src/index.ts'
import { startFaultProxy, startPostgres } from '../../src/index.ts'

// Lower bounds of time only: a busy machine may be late, it is never early.

let target: Server
let accepted: Socket[]
let ends: string[]
let proxy: FaultProxy
let port: number

beforeAll(async () => {
  target = createServer({ allowHalfOpen: true }, (socket) => {
    accepted.push(socket)
    // Of this test: the sockets of the one before may still be ending.
    const mine = ends
    socket.on('data', (chunk) => socket.write(chunk))
    socket.on('end', () => {
      mine.push('fin')
      socket.end()
    })
    socket.on('error', (error: NodeJS.ErrnoException) => mine.push(error.code ?? 'error'))
  })
  target.listen(0, '127.0.0.1')
  await once(target, 'listening')
  port = (target.address() as AddressInfo).port
})
beforeEach(async () => {
  accepted = []
  ends = []
  proxy = await startFaultProxy({ port })
})
afterEach(() => proxy.close())
afterAll(() => {
  target.close()
})

interface Peer {
  readonly socket: Socket
  readonly received: () => Buffer
  readonly ending: Promise<string>
}

async function dial(to: number = proxy.port): Promise<Peer> {
  const socket = connect({ port: to, host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  const ending = new Promise<string>((resolve) => {
    socket.once('end', () => resolve('fin'))
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'error'))
  })
  await Promise.race([once(socket, 'connect'), ending])
  return { socket, received: () => Buffer.concat(chunks), ending }
}

async function echo(peer: Peer, text: string): Promise<number> {
  const start = performance.now()
  const already = peer.received().length
  peer.socket.write(text)
  await expect
    .poll(() => peer.received().subarray(already).toString(), { interval: 2, timeout: 5_000 })
    .toBe(text)
  return performance.now() - start
}

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds))

describe('a fault proxy', () => {
  it('carries bytes unchanged in both directions, and counts them', async () => {
    const peer = await dial()
    const sent = randomBytes(3_000_000)
    peer.socket.end(sent)
    expect(await peer.ending).toBe('fin')
    expect(createHash('md5').update(peer.received()).digest('hex')).toBe(
      createHash('md5').update(sent).digest('hex'),
    )
    await expect
      .poll(() => proxy.stats)
      .toEqual({ open: 0, accepted: 1, toServer: 3_000_000, toClient: 3_000_000, held: 0 })
  })

  it('carries bytes unchanged under latency, jitter and a limited bandwidth at once', async () => {
    proxy.set({ latency: 5, jitter: 20, bandwidth: 2_000_000 })
    const peer = await dial()
    const sent = randomBytes(300_000)
    const start = performance.now()
    for (let at = 0; at < sent.length; at += 30_000) {
      peer.socket.write(sent.subarray(at, at + 30_000))
      await pause(2)
    }
    peer.socket.end()
    expect(await peer.ending).toBe('fin')
    expect(peer.received().equals(sent)).toBe(true)
    expect(performance.now() - start).toBeGreaterThan(140)
  })

  it('delays each direction by its own latency, also the bytes that wait when it changes', async () => {
    const peer = await dial()
    proxy.set({ latency: '60ms' }, 'toServer')
    proxy.set({ latency: '40ms' }, 'toClient')
    expect(await echo(peer, 'slow')).toBeGreaterThanOrEqual(98)
    proxy.set({ latency: '1h' })
    peer.socket.write('waits')
    await pause(30)
    expect(proxy.stats.held).toBe(5)
    await proxy.heal()
    await expect.poll(() => peer.received().toString()).toBe('slowwaits')
  })

  it('adds jitter from the given source of numbers', async () => {
    const draws = [0.5, 0]
    await using jittery = await startFaultProxy(
      { port },
      { jitter: '100ms', random: () => draws.shift() ?? 0 },
    )
    const peer = await dial(jittery.port)
    expect(await echo(peer, 'a')).toBeGreaterThanOrEqual(49)
    expect(draws).toEqual([])
  })

  it('limits the bandwidth of a connection', async () => {
    proxy.set({ bandwidth: 100_000 }, 'toClient')
    const peer = await dial()
    expect(await echo(peer, 'x'.repeat(20_000))).toBeGreaterThanOrEqual(180)
  })

  it('drips', async () => {
    proxy.set({ drip: { bytes: 2, every: 10 } }, 'toServer')
    const peer = await dial()
    expect(await echo(peer, '0123456789')).toBeGreaterThanOrEqual(39)
    proxy.set({ drip: 0 })
    await echo(peer, 'x'.repeat(10_000))
  })

  it('cuts with a FIN on both sides', async () => {
    const peer = await dial()
    await echo(peer, 'a')
    proxy.cut()
    expect(await peer.ending).toBe('fin')
    await expect.poll(() => ends).toEqual(['fin'])
    peer.socket.destroy()
    await echo(await dial(), 'a new connection works')
  })

  it('resets both sides with a RST', async () => {
    const peer = await dial()
    await echo(peer, 'a')
    proxy.reset()
    expect(await peer.ending).toBe('ECONNRESET')
    await expect.poll(() => ends).toEqual(['ECONNRESET'])
    await echo(await dial(), 'a new connection works')
  })

  it('refuses new connections, keeps the open ones, and accepts again on the same port', async () => {
    const peer = await dial()
    await echo(peer, 'a')
    const { url } = proxy
    proxy.refuse()
    expect(await (await dial()).ending).toBe('ECONNREFUSED')
    await echo(peer, 'still here')
    await proxy.accept()
    expect(proxy.url).toBe(url)
    await echo(await dial(), 'back')
  })

  it('is a black hole in both directions: bytes and closings wait, and none is lost', async () => {
    const peer = await dial()
    await echo(peer, 'a')
    proxy.set({ blackhole: true })
    peer.socket.write('lost?')
    accepted[0]?.write('also?')
    peer.socket.end()
    await pause(50)
    expect(peer.received().toString()).toBe('a')
    expect(ends).toEqual([])
    await proxy.heal()
    expect(await peer.ending).toBe('fin')
    expect(peer.received().toString()).toBe('aalso?lost?')
    expect(ends).toEqual(['fin'])
  })

  it('hides a client that has gone from the server until the black hole ends', async () => {
    const peer = await dial()
    await echo(peer, 'a')
    proxy.set({ blackhole: true }, 'toServer')
    peer.socket.resetAndDestroy()
    await pause(50)
    expect(ends).toEqual([])
    await proxy.heal()
    await expect.poll(() => ends).toEqual(['ECONNRESET'])
  })

  it('half-open: takes in one direction and answers nothing in the other', async () => {
    const peer = await dial()
    await echo(peer, 'a')
    proxy.set({ blackhole: true }, 'toClient')
    peer.socket.write('bc')
    await expect.poll(() => proxy.stats.toServer).toBe(3)
    await pause(20)
    expect(peer.received().toString()).toBe('a')
    proxy.set({ blackhole: false }, 'toClient')
    await expect.poll(() => peer.received().toString()).toBe('abc')
  })

  it('accepts clients into a black hole without a connection to the server', async () => {
    proxy.set({ blackhole: true }, 'toServer')
    const peer = await dial()
    peer.socket.write('hello')
    await expect.poll(() => proxy.stats.held).toBe(5)
    expect(accepted).toHaveLength(0)
    await proxy.heal()
    await expect.poll(() => peer.received().toString()).toBe('hello')
  })

  it('resets a connection once so many more bytes have passed', async () => {
    const peer = await dial()
    await echo(peer, '0123456789')
    proxy.set({ cutAfter: 4 }, 'toServer')
    peer.socket.write('abcdefgh')
    expect(await peer.ending).toBe('ECONNRESET')
    expect(proxy.stats.toServer).toBe(14)
  })

  it('holds a bounded number of bytes and lets the sender feel it', async () => {
    await using small = await startFaultProxy({ port }, { blackhole: true, capacity: 10_000 })
    const peer = await dial(small.port)
    let flushed = 0
    for (let i = 0; i < 400; i++) peer.socket.write(Buffer.alloc(65_536), () => flushed++)
    await expect.poll(() => small.stats.held).toBeGreaterThanOrEqual(10_000)
    await pause(100)
    expect(small.stats.held).toBeLessThan(10_000 + 65_537)
    expect(flushed).toBeLessThan(400)
    await small.heal()
    await expect.poll(() => flushed, { timeout: 5_000 }).toBe(400)
    peer.socket.destroy()
  })

  it('passes a half-closed stream and a server that is down on to the client', async () => {
    const peer = await dial()
    peer.socket.end('last words')
    expect(await peer.ending).toBe('fin')
    expect(peer.received().toString()).toBe('last words')
    const nowhere = createServer().listen(0, '127.0.0.1')
    await once(nowhere, 'listening')
    const dead = (nowhere.address() as AddressInfo).port
    await new Promise((resolve) => nowhere.close(resolve))
    await using toNowhere = await startFaultProxy({ port: dead })
    expect(await (await dial(toNowhere.port)).ending).toBe('ECONNRESET')
  })

  it('replaces host and port in the URL of its target and keeps the rest', async () => {
    await using named = await startFaultProxy('postgres://me:p%40ss@localhost:1/base?x=1#y')
    expect(named.url).toBe(`postgres://me:p%40ss@127.0.0.1:${named.port}/base?x=1#y`)
    expect(named.urlOf('redis://h')).toBe(`redis://127.0.0.1:${named.port}`)
  })

  it.each([[{ latency: -1 }], [{ bandwidth: Number.NaN }], [{ drip: { bytes: 0, every: 1 } }], [{ lag: 1 }]])(
    'refuses the faults %j',
    (faults) => {
      expect(() => proxy.set(faults as object)).toThrow(
        expect.objectContaining({ code: 'TESTKIT_ERR_OPTIONS' }),
      )
    },
  )

  it('closes idempotently, resets what is open, and then refuses to be changed', async () => {
    const peer = await dial()
    await echo(peer, 'a')
    await Promise.all([proxy.close(), proxy.close()])
    expect(await peer.ending).toBe('ECONNRESET')
    expect(await (await dial()).ending).toBe('ECONNREFUSED')
    expect(() => proxy.set({})).toThrow(expect.objectContaining({ code: 'TESTKIT_ERR_CLOSED' }))
    expect(proxy.stats.open).toBe(0)
  })

  it('partitions a replica from its primary, which then catches up', async () => {
    await using pg = await startPostgres({ replicas: 1 })
    await using link = await startFaultProxy(pg.url)
    const [replica] = pg.replicas
    await replica?.repoint(link)
    link.set({ blackhole: true })
    const client = new Client({ connectionString: pg.url })
    await client.connect()
    await client.query('create table t as select 1 as x')
    await client.end()
    await expect(replica?.sql('select * from t')).rejects.toMatchObject({ code: 'TESTKIT_ERR_REPLY' })
    await link.heal()
    await pg.waitForCatchup()
    expect(await replica?.sql('select * from t')).toEqual([{ x: '1' }])
  })
})
