import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { WebSocket } from 'ws'
import { createClient } from '../../src/client.ts'
import { defineContract, ephemeral, type Schema, unchecked } from '../../src/index.ts'
import { SUBPROTOCOL } from '../../src/protocol.ts'
import { type NodeOptions, startLocalNode } from '../support/local-node.ts'
import { openRaw } from '../support/raw-client.ts'
import { seededRandom } from '../support/seeded-random.ts'

const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

async function start(options: NodeOptions = {}) {
  const node = await startLocalNode(options)
  closers.push(() => node.close())
  return node
}

async function hello(url: string, token = 'ann') {
  const raw = await openRaw(url)
  closers.push(() => raw.close())
  raw.send(['hello', 1, token, null, []])
  await expect.poll(() => raw.messages[0]?.[0]).toBe('welcome')
  return raw
}

describe('hostile clients', () => {
  it('cannot make the node throw, whatever they send', async () => {
    const node = await start()
    const seed = Date.now() % 1_000_000
    console.log(`seed ${seed}`)
    const random = seededRandom(seed)
    const frames = Array.from({ length: 300 }, () => hostileFrame(random))
    for (const frame of frames) {
      const raw = await openRaw(node.url)
      if (random() < 0.7) raw.send(['hello', 1, 'ann', null, []])
      raw.socket.send(frame)
      raw.socket.close()
    }
    // It still serves.
    const client = createClient({ url: node.url, getToken: () => 'ann', WebSocket })
    closers.push(() => client.close())
    await client.connect()
    expect(client.status).toBe('connected')
  })

  it('are closed with the code of what they did', async () => {
    const node = await start({ limits: { payload: 1_024, rooms: 2 } })
    const cases: [unknown[][] | string | Buffer, number][] = [
      ['not json', 4500],
      [Buffer.from([1, 2, 3]), 4500],
      [[['sub', 1, 'lobby']], 4500],
      [
        [
          [
            'hello',
            1,
            'ann',
            null,
            [
              [2, 'job:1'],
              [3, 'job:2'],
              [4, 'job:3'],
            ],
          ],
        ],
        4504,
      ],
      [[['hello', 1, '', null, []]], 4501],
      ['x'.repeat(2_000), 1009],
    ]
    for (const [sent, code] of cases) {
      const raw = await openRaw(node.url)
      if (Array.isArray(sent)) raw.send(...sent)
      else raw.socket.send(sent)
      await expect(raw.closed).resolves.toMatchObject({ code })
    }
    const impatient = await start({ limits: { handshakeTimeout: 100 } })
    const silent = await openRaw(impatient.url)
    await expect(silent.closed).resolves.toMatchObject({ code: 4001 })
  })

  it('are slowed down when they send too much', async () => {
    let left = 5
    const node = await start({ limits: { inbound: () => ({ take: () => left-- > 0 }) } })
    const raw = await hello(node.url)
    for (let id = 10; id < 20; id++) raw.send(['unsub', id, 'lobby'])
    await expect.poll(() => raw.messages.filter(([type]) => type === 'err').length).toBe(5)
    expect(raw.messages.find(([type]) => type === 'err')).toEqual([
      'err',
      15,
      'rate_limited',
      'too many messages',
      true,
      1_000,
    ])
  })

  it('cannot open more connections than one user may', async () => {
    const node = await start({ limits: { connectionsPerUser: 2 } })
    await hello(node.url)
    await hello(node.url)
    const third = await openRaw(node.url)
    third.send(['hello', 1, 'ann', null, []])
    await expect(third.closed).resolves.toMatchObject({ code: 4504 })
    await hello(node.url, 'ben')
  })

  it('cannot open more connections than one address may', async () => {
    const node = await start({ limits: { connectionsPerAddress: 2 } })
    const [first] = [await hello(node.url, 'ann'), await hello(node.url, 'ben')]
    const third = await openRaw(node.url)
    await expect(third.closed).resolves.toMatchObject({ code: 4504 })
    first.close()
    await expect.poll(() => node.realtime.health().connections).toBe(1)
    await hello(node.url, 'cem')
  })

  it('cannot fill the memory with fragments of a message that never ends', async () => {
    const node = await start()
    const raw = await hello(node.url)
    for (let n = 0; n < 200; n++) raw.socket.send('[', { fin: false })
    await expect(raw.closed).resolves.toMatchObject({ code: 1008 })
    const deep = await hello(node.url)
    for (let n = 0; n < 100; n++) deep.socket.send('x'.repeat(1_000), { fin: false })
    await expect(deep.closed).resolves.toMatchObject({ code: 1009 })
    await hello(node.url)
  })

  it('cannot publish what the contract does not allow', async () => {
    const contract = defineContract({
      rooms: { 'job:{id}': { events: { note: shortText, typing: ephemeral(unchecked<boolean>()) } } },
    })
    const node = await start({
      contract: contract as never,
      authorize: { 'job:{id}': () => ({ publish: true }) } as never,
    })
    const raw = await hello(node.url)
    raw.send(['sub', 2, 'job:1'])
    await expect.poll(() => raw.messages[1]?.[0]).toBe('subscribed')
    raw.send(
      ['pub', 3, 'job:1', 'note', 'x'.repeat(50)],
      ['pub', 4, 'job:1', 'other', 1],
      ['pub', 5, 'job:1', 'typing', true],
    )
    await expect.poll(() => raw.messages.length).toBe(6)
    expect(raw.messages).toContainEqual(expect.arrayContaining(['err', 3, 'invalid_data']))
    expect(raw.messages).toContainEqual(expect.arrayContaining(['err', 4, 'unknown_event']))
    expect(raw.messages).toContainEqual(['m', 'job:1', 0, 'typing', true])
    expect(raw.messages).toContainEqual(['ok', 5, null])
  })
})

describe('those who run a node', () => {
  it('see its connections and can end one', async () => {
    const node = await start()
    const [ann, ben] = [await hello(node.url, 'ann'), await hello(node.url, 'ben')]
    ann.send(['sub', 2, 'job:1'])
    await expect.poll(() => ann.messages.length).toBe(2)
    const list = () => node.realtime.connections().map(({ who, rooms }) => ({ user: who.userId, rooms }))
    expect(list()).toEqual([
      { user: 'ann', rooms: ['job:1'] },
      { user: 'ben', rooms: [] },
    ])
    node.realtime.connections()[0]?.disconnect('too loud')
    await expect(ann.closed).resolves.toEqual({ code: 4503, reason: 'too loud' })
    expect(list()).toEqual([{ user: 'ben', rooms: [] }])
    ben.close()
  })

  it('can move a share of the clients elsewhere, without a moment offline', async () => {
    const [first, second] = [await start(), await start()]
    let url = first.url
    const statuses: string[] = []
    const clients = Array.from({ length: 12 }, () => {
      const client = createClient({ url: () => url, getToken: () => 'ann', WebSocket })
      closers.push(() => client.close())
      client.onStatus((status) => statuses.push(status))
      return client
    })
    await Promise.all(clients.map((client) => client.connect()))
    statuses.length = 0
    url = second.url
    const moved = first.realtime.shed(0.5, { over: 50 })
    await expect.poll(() => second.realtime.health().connections).toBe(moved)
    await expect.poll(() => first.realtime.health().connections).toBe(clients.length - moved)
    expect(first.realtime.shed(1, { over: 50 })).toBe(clients.length - moved)
    await expect.poll(() => second.realtime.health().connections).toBe(clients.length)
    expect(statuses).toEqual([])
  })

  it('bound how many are let in at once; the others come when they are told to', async () => {
    let asked = 0
    let letIn = () => {}
    const gate = new Promise<void>((resolve) => {
      letIn = resolve
    })
    const node = await start({
      limits: { handshakes: 3 },
      authenticate: async ({ token }) => {
        asked++
        await gate
        return { userId: token }
      },
    })
    const raws = await Promise.all(Array.from({ length: 10 }, () => openRaw(node.url)))
    for (const raw of raws) {
      closers.push(() => raw.close())
      if (raw.socket.readyState === raw.socket.OPEN) raw.send(['hello', 1, 'ann', null, []])
    }
    const refused = () => raws.filter(({ socket }) => socket.readyState === socket.CLOSED)
    await expect.poll(() => refused().length).toBe(7)
    for (const { closed } of refused()) {
      const { code, reason } = await closed
      expect(code).toBe(1013)
      expect(Number(reason)).toBeGreaterThanOrEqual(1_000)
    }
    letIn()
    await expect.poll(() => raws.filter(({ messages }) => messages[0]?.[0] === 'welcome').length).toBe(3)
    expect(asked).toBe(3)
  })
})

describe('origins', () => {
  const attempt = async (url: string, origin?: string, protocol = SUBPROTOCOL) => {
    const socket = new WebSocket(url, protocol, origin === undefined ? {} : { origin })
    return await new Promise<string>((resolve) => {
      socket.on('open', () => {
        resolve('open')
        socket.terminate()
      })
      socket.on('unexpected-response', (_, { statusCode }) => resolve(String(statusCode)))
      socket.on('error', () => {})
    })
  }

  it('lets listed pages and programs connect, and no other page', async () => {
    const { url } = await start({ origins: ['https://app.example'] })
    expect(await attempt(url, 'https://app.example')).toBe('open')
    expect(await attempt(url)).toBe('open')
    expect(await attempt(url, 'https://evil.example')).toBe('403')
    expect(await attempt(url, 'null')).toBe('403')
    expect(await attempt(url, 'https://app.example.evil.example')).toBe('403')
    expect(await attempt(url, 'https://app.example', 'other')).toBe('400')
  })
})

describe('tokens and rights that end', () => {
  // Time passes when the test says so: a busy machine must not let a token end early.
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['Date', 'setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] })
  })
  afterEach(() => void vi.useRealTimers())

  const passing = async <T>(seen: () => T): Promise<T> => {
    await vi.advanceTimersByTimeAsync(1_000)
    return seen()
  }
  /** Over before anything ends, is refreshed, or a client asks whether the node is there. */
  const QUIET = 30_000

  it('are refreshed without a reconnect', async () => {
    const reasons: string[] = []
    const node = await start({
      authenticate: ({ token }) => ({ userId: token, expiresAt: Date.now() + 60_000 }),
    })
    const client = createClient({
      url: node.url,
      getToken: ({ reason }) => {
        reasons.push(reason)
        return 'ann'
      },
      WebSocket,
    })
    closers.push(() => client.close())
    const statuses: string[] = []
    client.onStatus((status) => statuses.push(status))
    await client.connect()
    for (const expected of [
      ['connect', 'refresh'],
      ['connect', 'refresh', 'refresh'],
    ]) {
      await vi.advanceTimersByTimeAsync(QUIET)
      await expect.poll(() => passing(() => reasons)).toEqual(expected)
    }
    expect(statuses).toEqual(['connecting', 'connected'])
  })

  it('end the connection when no fresh token comes, and the client asks for one', async () => {
    const reasons: string[] = []
    const node = await start({
      authenticate: ({ token }) => ({
        userId: 'ann',
        expiresAt: Date.now() + (token === 'old' ? 60_000 : 3_600_000),
      }),
    })
    const client = createClient({
      url: node.url,
      getToken: ({ reason }) => {
        reasons.push(reason)
        if (reason === 'refresh') throw new Error('the identity provider is away')
        return reason === 'expired' ? 'new' : 'old'
      },
      WebSocket,
      backoff: { base: 10, cap: 20 },
    })
    closers.push(() => client.close())
    await client.connect()
    await vi.advanceTimersByTimeAsync(QUIET)
    await expect.poll(() => passing(() => reasons)).toEqual(['connect', 'refresh', 'expired'])
    await expect.poll(() => passing(() => client.status)).toBe('connected')
  })

  it('need no refresh when they have no end', async () => {
    let asked = 0
    const node = await start({
      authenticate: () => {
        asked++
        return { userId: 'ann' }
      },
    })
    const raw = await hello(node.url)
    raw.send(['refresh', 2, 'fresh'])
    await expect.poll(() => raw.messages[1]).toEqual(['ok', 2, {}])
    expect(asked).toBe(1)
  })

  it('take a room away when the right to it ends', async () => {
    let allowed = true
    const node = await start({
      authorize: { lobby: () => (allowed ? { expiresAt: Date.now() + 60_000 } : false) } as never,
    })
    const client = createClient({ url: node.url, getToken: () => 'ann', WebSocket })
    closers.push(() => client.close())
    const room = client.room('lobby')
    await expect.poll(() => room.status).toBe('subscribed')
    allowed = false
    await vi.advanceTimersByTimeAsync(QUIET)
    await expect.poll(() => passing(() => room.status)).toBe('denied')
  })
})

describe('an app that throws', () => {
  it('is told, and the client sees a temporary failure without details', async () => {
    const node = await start({
      authorize: {
        lobby: () => {
          throw new Error('secret')
        },
      } as never,
    })
    const told: unknown[] = []
    node.realtime.on('failed', ({ where }) => told.push(where))
    node.realtime.rpc('boom' as never, () => {
      throw new Error('secret')
    })
    const raw = await hello(node.url)
    raw.send(['sub', 2, 'lobby'], ['call', 3, 'boom', null])
    await expect.poll(() => raw.messages.length).toBe(3)
    expect(told.toSorted()).toEqual(['authorize', 'call'])
    expect(JSON.stringify(raw.messages)).not.toContain('secret')
    for (const message of raw.messages.slice(1)) expect(message[4]).toBe(true)
  })
})

const shortText: Schema<string> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value) =>
      typeof value === 'string' && value.length < 10 ? { value } : { issues: [{ message: 'too long' }] },
  },
}

function hostileFrame(random: () => number): string {
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)] as T
  const type = () =>
    pick(['hello', 'sub', 'unsub', 'pub', 'call', 'cancel', 'refresh', 'ping', '__proto__', 7, null])
  const value = (depth: number): unknown =>
    pick<() => unknown>([
      () => null,
      () => -1,
      () => 1e308,
      () => 2 ** 53,
      () => '',
      () => 'lobby',
      () => 'job:%',
      () => 'job:%zz',
      () => `job:${'é'.repeat(300)}`,
      () => '~',
      () => '!control',
      () => '\ud800',
      () => ({ __proto__: null, constructor: 1, toJSON: 'x' }),
      () => (depth > 3 ? [] : Array.from({ length: Math.floor(random() * 6) }, () => value(depth + 1))),
    ])()
  const message = () =>
    JSON.stringify([type(), ...Array.from({ length: Math.floor(random() * 7) }, () => value(0))])
  return pick([
    message,
    () => [message(), message(), message()].join('\n'),
    () => message().slice(0, Math.floor(random() * 20)),
    () => '['.repeat(5_000),
    () => '\n'.repeat(1_000),
    () => '{"0":"hello"}',
    () => String.fromCharCode(...Array.from({ length: 20 }, () => Math.floor(random() * 0xffff))),
  ])()
}
