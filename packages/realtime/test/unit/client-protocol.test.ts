import { readFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type ClientOptions, createClient } from '../../src/client.ts'
import { type ScriptedSocket, scriptedServer, subscribed } from '../support/scripted-server.ts'

const protocol = readFileSync(new URL('../../PROTOCOL.md', import.meta.url), 'utf8')

beforeEach(() => void vi.useFakeTimers())
afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

const passed = (milliseconds = 0) => vi.advanceTimersByTimeAsync(milliseconds)

/** A client in room `r` of a server that the test plays, and what it was given there. */
async function joined(options: Partial<ClientOptions> = {}) {
  const server = scriptedServer()
  const client = createClient({ url: 'ws://test', WebSocket: server.WebSocket, ...options })
  const room = client.room('r')
  const got: unknown[] = []
  room.on('n', (data, { epoch, offset }) => got.push([data, epoch, offset]))
  room.onGap(({ reason }) => got.push(reason))
  await passed()
  server.socket.welcome()
  return { server, client, room, got }
}

function message(offset: number, data: unknown = offset): unknown[] {
  return ['m', 'r', offset, 'n', data]
}

/** The position with which a room was asked for. */
function asked(socket: ScriptedSocket): unknown[] | undefined {
  const [, , , , rooms] = socket.last('hello')
  return (rooms as unknown[][])[0]?.slice(2)
}

describe('a client', () => {
  it('offers the subprotocol, says hello first, and names its rooms there', async () => {
    const { server } = await joined({ getToken: () => 'secret', info: { app: 1 } })
    expect(server.socket.protocol).toBe('rt1.json')
    expect(server.socket.sent).toEqual([
      ['hello', expect.any(Number), 'secret', { app: 1 }, [[expect.any(Number), 'r']]],
    ])
  })

  it('reads several messages of a frame, and ignores types and items it does not know', async () => {
    const { server, got } = await joined()
    server.socket.say(message(1), ['future', 'r', { x: 1 }], [...message(2), 'more'], [])
    expect(got).toEqual([
      [1, 'e', 1],
      [2, 'e', 2],
    ])
    expect(server.socket.closedWith).toBeUndefined()
  })

  it('drops what is not above its position, and hears ephemeral events outside the order', async () => {
    const { server, got } = await joined()
    server.socket.say(message(1), message(1), message(0, 'typing'), message(2), message(1), message(3))
    expect(got).toEqual([
      [1, 'e', 1],
      ['typing', 'e', 0],
      [2, 'e', 2],
      [3, 'e', 3],
    ])
  })

  it('closes with 4004 when a message is missing, and comes back with the position it has', async () => {
    const { server, got } = await joined()
    server.socket.say(message(1), message(3), message(4))
    expect(server.socket.closedWith).toBe(4004)
    await passed(1_000)
    expect(server.sockets).toHaveLength(2)
    server.socket.open()
    expect(asked(server.socket)).toEqual(['e', 1])
    expect(got).toEqual([[1, 'e', 1]])
  })

  it('goes on under the name that epoch gives, and from where gap says', async () => {
    const { server, got, room } = await joined()
    server.socket.say(message(1), ['epoch', 'r', 'f'], message(2))
    expect(room.position).toEqual({ epoch: 'f', offset: 2 })
    server.socket.say(['gap', 'r', 'trimmed', 'f', 10], message(11))
    server.socket.say(['gap', 'r', 'lost', 'g', 0], message(1))
    expect(got).toEqual([[1, 'e', 1], [2, 'f', 2], 'trimmed', [11, 'f', 11], 'lost', [1, 'g', 1]])
  })

  it.each([
    [1, [], 5],
    [2, ['trimmed'], 7],
    [3, ['lost'], 2],
  ] as const)('takes what `subscribed` says of the past: %d', async (recovered, gaps, next) => {
    const { server, got, room } = await joined()
    server.socket.say(...[1, 2, 3, 4].map((offset) => message(offset)))
    got.length = 0
    server.socket.end(1006)
    await passed(1_000)
    server.socket.welcome((name, id) => [
      'subscribed',
      id,
      name,
      'f',
      recovered === 1 ? 4 : next - 1,
      recovered,
    ])
    expect(got).toEqual(gaps)
    server.socket.say(message(next))
    expect(room.position).toEqual({ epoch: 'f', offset: next })
  })

  it('moves when it is advised: at the told moment, with its position, and leaves with 1000 at the end', async () => {
    const { server, client, room, got } = await joined()
    const statuses: string[] = []
    client.onStatus((status) => statuses.push(status))
    room.onStatus((status) => statuses.push(status))
    const old = server.socket
    old.say(message(1), ['advice', 'drain', 500, 5_000])
    await passed(499)
    expect(server.sockets).toHaveLength(1)
    await passed(1)
    expect(server.sockets).toHaveLength(2)
    const next = server.socket
    next.open()
    expect(asked(next)).toEqual(['e', 1])
    old.say(message(2))
    const [, id, , , rooms] = next.last('hello')
    next.say(['welcome', id, { ping: 25_000 }])
    expect(old.closedWith).toBeUndefined()
    next.say(
      subscribed('r', (rooms as [number][])[0]?.[0] ?? 0)
        .with(4, 1)
        .with(5, 1),
    )
    // From now on the room is what the new connection says; it repeats what the old one has said already.
    old.say(message(3, 'of the old one'))
    next.say(message(2), message(3))
    await passed()
    expect(old.closedWith).toBe(1000)
    expect(got).toEqual([
      [1, 'e', 1],
      [2, 'e', 2],
      [3, 'e', 3],
    ])
    expect(statuses).toEqual([])
  })

  it('sends each publish with a key, and the same one when it has to repeat it', async () => {
    const { server, room } = await joined()
    const publishing = room.publish('n', 1)
    const first = server.socket.last('pub')
    expect(first).toEqual(['pub', expect.any(Number), 'r', 'n', 1, expect.stringMatching(/^.{10,128}$/)])
    server.socket.end(1006)
    await passed(1_000)
    server.socket.welcome()
    const again = server.socket.last('pub')
    expect(again.slice(2)).toEqual(first.slice(2))
    server.socket.say(['ok', again[1], { epoch: 'e', offset: 1 }])
    await expect(publishing).resolves.toEqual({ epoch: 'e', offset: 1 })
  })

  it('cancels a call that is given up', async () => {
    const { server, client } = await joined()
    const stop = new AbortController()
    const calling = client.call('rename', 1, { signal: stop.signal })
    await passed()
    stop.abort(new Error('enough'))
    await expect(calling).rejects.toThrow('enough')
    expect(server.socket.last('cancel')).toEqual(['cancel', server.socket.last('call')[1]])
  })
})

describe('the heartbeat of a client', () => {
  it('asks after 1.25 times the ping of silence, and gives up after twice that of it', async () => {
    const { server } = await joined()
    const [first] = server.sockets
    await passed(1.25 * 25_000 - 1)
    expect(first?.sent.at(-1)?.[0]).toBe('hello')
    await passed(1)
    expect(first?.sent.at(-1)).toEqual(['ping'])
    // An answer is enough to go on.
    first?.say(['pong'])
    await passed(1.25 * 25_000)
    expect(first?.sent.filter(([type]) => type === 'ping')).toHaveLength(2)
    await passed(0.75 * 25_000)
    expect(first?.closedWith).toBe(4001)
    await passed(1_000)
    expect(server.sockets).toHaveLength(2)
  })

  it('answers a ping with a pong', async () => {
    const { server } = await joined()
    server.socket.say(['ping'])
    expect(server.socket.sent.at(-1)).toEqual(['pong'])
  })

  it('gives up a server that does not welcome it in time', async () => {
    const server = scriptedServer()
    const client = createClient({ url: 'ws://test', WebSocket: server.WebSocket, timeout: 2_000 })
    client.room('r')
    await passed()
    server.socket.open()
    await passed(2_000)
    expect(server.sockets[0]?.closedWith).toBe(4001)
    await passed(1_000)
    expect(server.sockets).toHaveLength(2)
    await client.close()
  })
})

describe('close codes', () => {
  // What PROTOCOL.md says of each.
  const table = [...protocol.matchAll(/^\| ([\d, ]+) \| [^|]+ \| ([^|]+) \|$/gm)].flatMap(
    ([, codes = '', does = '']) =>
      codes.split(', ').map((code) => ({ code: Number(code), stops: does.startsWith('stops') })),
  )
  const unknown = [
    { code: 4_321, stops: false },
    { code: 4_777, stops: true },
  ]

  it('are all of the table', () => {
    expect(table.length).toBeGreaterThan(18)
  })

  it.each([...table, ...unknown])('$code: the client stops: $stops', async ({ code, stops }) => {
    const { server, client } = await joined()
    server.socket.end(code, code === 1013 ? '3000' : 'why')
    await passed(600_000)
    expect(client.status === 'stopped').toBe(stops)
    expect(server.sockets.length > 1).toBe(!stops)
    if (stops) expect(client.error).toMatchObject({ code: 'REALTIME_ERR_STOPPED', closeCode: code })
  })

  it('1013 is answered after the told time, plus backoff', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(0.5)
    const { server } = await joined()
    server.socket.end(1013, '3000')
    await passed(3_249)
    expect(server.sockets).toHaveLength(1)
    await passed(1)
    expect(server.sockets).toHaveLength(2)
  })

  it('are answered with exponential backoff, with full jitter, up to a bound', async () => {
    const random = vi.spyOn(Math, 'random').mockReturnValue(1)
    const { server, client } = await joined()
    const pauses: number[] = []
    for (let attempt = 0; attempt < 8; attempt++) {
      const { length } = server.sockets
      server.socket.end(1006)
      const before = Date.now()
      while (server.sockets.length === length) await passed(50)
      pauses.push(Date.now() - before)
    }
    expect(pauses).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 20_000, 20_000])
    // The shortest pause is none.
    random.mockReturnValue(0)
    const { length } = server.sockets
    server.socket.end(1006)
    await passed(1)
    expect(server.sockets).toHaveLength(length + 1)
    await client.close()
  })
})
