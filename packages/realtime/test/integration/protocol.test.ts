import { afterEach, describe, expect, it } from 'vitest'
import { type NodeOptions, startLocalNode } from '../support/local-node.ts'
import { openRaw, range } from '../support/raw-client.ts'

// PROTOCOL.md from the server's side, said by hand. The client's side is in unit/client-protocol; upgrades, origins
// and tokens are in safety, compression and presence have files of their own.

const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

async function start(options: NodeOptions = {}) {
  const node = await startLocalNode(options)
  closers.push(() => node.close())
  const publish = (id: string, n: unknown) =>
    node.realtime.room('job:{id}', { id } as never).publish('n' as never, n as never)
  return { ...node, publish }
}

type Node = Awaited<ReturnType<typeof start>>

/** A socket that has said hello, and asks. */
async function enter({ url }: Node, user = 'ann', rooms: readonly unknown[] = []) {
  const raw = await openRaw(url)
  closers.push(() => raw.close())
  const answerTo = async (id: number) => {
    const found = () => raw.messages.find((message) => message[0] !== 'm' && message[1] === id)
    await expect.poll(found).toBeDefined()
    return found() ?? []
  }
  let id = 100
  const ask = (type: string, ...fields: readonly unknown[]) => {
    raw.send([type, ++id, ...fields])
    return answerTo(id)
  }
  raw.send(['hello', 1, user, null, rooms])
  await answerTo(1)
  return {
    ...raw,
    ask,
    answerTo,
    of: (type: string) => raw.messages.filter((message) => message[0] === type),
  }
}

describe('a frame ends the connection with 4500', () => {
  const long = 'x'.repeat(257)
  it.each<[string, unknown[][] | string]>([
    ['when a message is no array', '{"0":"sub"}'],
    ['when it holds an empty line', '["ping"]\n\n["ping"]'],
    ['when it holds more than 512 messages', Array.from({ length: 513 }, () => ['ping'])],
    ['when the type is not known', [['future', 1]]],
    ['when the id is no number', [['unsub', 'one', 'lobby']]],
    ['when the id is negative', [['unsub', -1, 'lobby']]],
    ['when the id is no whole number', [['unsub', 1.5, 'lobby']]],
    ['when the id is above 2^53 - 1', [['unsub', 2 ** 53, 'lobby']]],
    ['when a room has no name', [['sub', 1, '']]],
    ['when a room has more than 256 characters', [['sub', 1, long]]],
    ['when an event has more than 256 characters', [['pub', 1, 'lobby', long, 1]]],
    ['when a key is empty', [['pub', 1, 'lobby', 'chat', 1, '']]],
    ['when a key has more than 128 characters', [['pub', 1, 'lobby', 'chat', 1, 'x'.repeat(129)]]],
    ['when an epoch has more than 64 characters', [['sub', 1, 'lobby', 'x'.repeat(65), 0]]],
    ['when an epoch comes without an offset', [['sub', 1, 'lobby', 'e']]],
    ['when hello is said twice', [['hello', 2, 'ann', null, []]]],
    ['when a token has more than 16,384 characters', [['refresh', 1, 'x'.repeat(16_385)]]],
  ])('%s', async (_, sent) => {
    const raw = await enter(await start())
    if (typeof sent === 'string') raw.socket.send(sent)
    else raw.send(...sent)
    await expect(raw.closed).resolves.toMatchObject({ code: 4500 })
  })

  it('and anything but hello does so before it', async () => {
    const node = await start()
    for (const first of [
      ['sub', 1, 'lobby'],
      ['call', 1, 'm', null],
      ['hello', 1, 'x'.repeat(16_385), null, []],
    ]) {
      const raw = await openRaw(node.url)
      raw.send(first)
      await expect(raw.closed).resolves.toMatchObject({ code: 4500 })
    }
  })
})

describe('a message', () => {
  it('may have items at its end that nobody knows, and come with others in its frame', async () => {
    const node = await start()
    const raw = await openRaw(node.url)
    closers.push(() => raw.close())
    raw.send(['hello', 1, 'ann', null, [[2, 'job:1', null, null, null, 'more']], 'more'], ['ping', 'more'])
    await expect
      .poll(() => raw.messages.map(([type]) => type).toSorted())
      .toEqual(['pong', 'subscribed', 'welcome'])
    raw.send(['pub', 3, 'job:1', 'n', 1, null, 'more'], ['unsub', 4, 'job:1', 'more'])
    await expect.poll(() => raw.messages.filter(([type]) => type === 'ok').length).toBe(2)
  })

  it('is welcomed with what the server allows, in milliseconds, then answered for each room', async () => {
    const node = await start({ heartbeat: '20s', limits: { rooms: 7, payload: 4_096 } })
    const before = Date.now()
    const raw = await enter(node, 'ann', [
      [2, 'job:1'],
      [3, 'other'],
    ])
    expect(raw.messages[0]).toEqual([
      'welcome',
      1,
      {
        connection: expect.any(String),
        node: node.realtime.health().node,
        ping: 20_000,
        time: expect.toSatisfy((time: number) => time >= before && time <= Date.now()),
        payload: 4_096,
        rooms: 7,
      },
    ])
    expect(await raw.answerTo(2)).toEqual(['subscribed', 2, 'job:1', expect.any(String), 0, 0])
    expect(await raw.answerTo(3)).toEqual(['err', 3, 'forbidden', 'forbidden', false, 0])
  })

  it('with the id 0 is not answered when it is a publish', async () => {
    const node = await start()
    const raw = await enter(node, 'ann', [[2, 'job:1']])
    await raw.answerTo(2)
    raw.send(['pub', 0, 'job:1', 'n', 1], ['pub', 0, 'elsewhere', 'n', 2])
    await expect.poll(() => raw.of('m')).toEqual([['m', 'job:1', 1, 'n', 1]])
    expect(await raw.ask('unsub', 'job:1')).toMatchObject({ 0: 'ok' })
    expect(raw.messages.filter((message) => message[1] === 0)).toEqual([])
  })

  it('names a room in one spelling', async () => {
    const raw = await enter(await start())
    for (const other of ['job:%41', 'job:a:b', 'job:', 'JOB:1', 'job:%C3', '~ann', '!control', '@@job:1']) {
      expect(await raw.ask('sub', other)).toMatchObject({ 0: 'err', 2: 'forbidden' })
    }
    expect(await raw.ask('sub', 'job:a%3Ab')).toMatchObject({ 0: 'subscribed', 2: 'job:a%3Ab' })
  })
})

describe('a key', () => {
  it('has a publish stored once for its user, and is nothing to other users', async () => {
    const node = await start()
    const [ann, ben] = [await enter(node, 'ann', [[2, 'job:1']]), await enter(node, 'ben', [[2, 'job:1']])]
    await Promise.all([ann, ben].map((raw) => raw.answerTo(2)))
    const [, , first] = await ann.ask('pub', 'job:1', 'n', 1, 'k')
    expect(first).toEqual({ epoch: expect.any(String), offset: 1 })
    expect(await ann.ask('pub', 'job:1', 'n', 1, 'k')).toMatchObject({ 2: first })
    expect(await ben.ask('pub', 'job:1', 'n', 2, 'k')).toMatchObject({ 2: { offset: 2 } })
    await expect.poll(() => ben.of('m').map((message) => message[4])).toEqual([1, 2])
  })
})

describe('an error says', () => {
  it('that nobody is in the room, that somebody is already, or that no more rooms fit', async () => {
    const raw = await enter(await start({ limits: { rooms: 1 } }))
    expect(await raw.ask('pub', 'job:1', 'n', 1)).toMatchObject({ 0: 'err', 2: 'not_subscribed', 4: false })
    expect(await raw.ask('who', '@job:1')).toMatchObject({ 0: 'err', 2: 'not_subscribed', 4: false })
    expect(await raw.ask('sub', 'job:1')).toMatchObject({ 0: 'subscribed' })
    expect(await raw.ask('sub', 'job:1')).toMatchObject({ 0: 'err', 2: 'already_subscribed', 4: false })
    expect(await raw.ask('sub', 'job:2')).toMatchObject({ 0: 'err', 2: 'too_many_rooms', 4: false })
    expect(await raw.ask('unsub', 'job:1')).toEqual(['ok', expect.any(Number), null])
    expect(await raw.ask('sub', 'job:2')).toMatchObject({ 0: 'subscribed' })
  })

  it('that a method is not known, or 64 calls are under way; a cancelled one is not answered', async () => {
    const node = await start({ limits: { inbound: { rate: 1_000, burst: 1_000 } } })
    const aborted: number[] = []
    let finish = () => {}
    const gate = new Promise<void>((resolve) => {
      finish = resolve
    })
    node.realtime.rpc(
      'wait' as never,
      (async (n: number, { signal }: { signal: AbortSignal }) => {
        signal.addEventListener('abort', () => aborted.push(n))
        await gate
        return n
      }) as never,
    )
    const raw = await enter(node)
    expect(await raw.ask('call', 'none', null)).toMatchObject({ 0: 'err', 2: 'unknown_method', 4: false })
    raw.send(...range(1_001, 1_064).map((id) => ['call', id, 'wait', id]))
    raw.send(['call', 1_065, 'wait', 1_065])
    expect(await raw.answerTo(1_065)).toEqual(['err', 1_065, 'busy', 'busy', true, 0])
    raw.send(['cancel', 1_001])
    await expect.poll(() => aborted).toEqual([1_001])
    finish()
    await expect.poll(() => raw.of('ok')).toHaveLength(63)
    expect(raw.messages.filter((message) => message[1] === 1_001)).toEqual([])
  })

  it('what the app chose to tell, and nothing of what it did not', async () => {
    const node = await start()
    const thrown = (fields: object) => () => Promise.reject(Object.assign(new Error('told'), fields))
    node.realtime.rpc('open' as never, thrown({ expose: true, code: 'sold_out', retryable: true }) as never)
    node.realtime.rpc('closed' as never, thrown({ code: 'sold_out' }) as never)
    const raw = await enter(node)
    expect(await raw.ask('call', 'open', null)).toMatchObject({ 2: 'sold_out', 3: 'told', 4: true })
    expect(await raw.ask('call', 'closed', null)).toMatchObject({
      2: 'internal',
      3: 'internal error',
      4: true,
    })
  })
})

describe('a room that is entered with a position', () => {
  const history = { size: 5 }

  it('is recovered when the history reaches back, and told why when it does not', async () => {
    const node = await start({ history })
    for (const n of range(1, 100)) await node.publish('1', n)
    const raw = await enter(node, 'ann', [[2, 'job:1']])
    const [, , , epoch] = await raw.answerTo(2)
    const from = async (...position: readonly unknown[]) => {
      const other = await enter(node, 'ben', [[2, 'job:1', ...position]])
      const answer = await other.answerTo(2)
      return { answer: answer.slice(4), other }
    }
    const recovered = await from(epoch, 98)
    expect(recovered.answer).toEqual([98, 1])
    await expect.poll(() => recovered.other.of('m').map((message) => message[2])).toEqual([99, 100])
    const trimmed = await from(epoch, 3)
    expect(trimmed.answer).toEqual([expect.any(Number), 2])
    const base = Number(trimmed.answer[0])
    await expect.poll(() => trimmed.other.of('m').map((message) => message[2])).toEqual(range(base + 1, 100))
    // More than was ever said in this epoch, and an epoch that nobody knows.
    expect((await from(epoch, 101)).answer).toEqual([100, 3])
    expect((await from('nobody', 1)).answer).toEqual([expect.any(Number), 3])
  })

  it('has messages whose offsets rise by one; an ephemeral event has none', async () => {
    const node = await start()
    const raw = await enter(node, 'ann', [[2, 'job:1']])
    await raw.answerTo(2)
    await Promise.all(range(1, 300).map((n) => node.publish('1', n)))
    await expect.poll(() => raw.of('m').map((message) => message[2])).toEqual(range(1, 300))
  })
})

describe('presence', () => {
  it('tells who is there as of a position, from where joins, updates and leaves go on', async () => {
    const node = await start()
    const ann = await enter(node, 'ann', [[2, '@job:1', null, null, { at: 1 }]])
    const [, , , epoch, offset] = await ann.answerTo(2)
    expect(await ann.ask('who', '@job:1')).toMatchObject({
      2: { epoch, offset, members: [['ann', { at: 1 }]] },
    })
    const ben = await enter(node, 'ben', [[2, '@job:1']])
    await ben.answerTo(2)
    expect(await ben.ask('pub', '@job:1', 'enter', 'here')).toMatchObject({ 0: 'ok', 2: null })
    expect(await ben.ask('pub', '@job:1', 'enter', 'there')).toMatchObject({ 0: 'ok', 2: null })
    expect(await ben.ask('pub', '@job:1', 'leave', null)).toMatchObject({ 0: 'ok', 2: null })
    await expect
      .poll(() => ann.of('m').map((message) => message.slice(3)))
      .toEqual([
        ['join', { user: 'ben', data: 'here' }],
        ['update', { user: 'ben', data: 'there' }],
        ['leave', { user: 'ben' }],
      ])
  })

  it('takes any data but null, and no other events', async () => {
    const raw = await enter(await start(), 'ann', [[2, '@job:1']])
    await raw.answerTo(2)
    expect(await raw.ask('pub', '@job:1', 'enter', null)).toMatchObject({ 0: 'err', 2: 'invalid_data' })
    expect(await raw.ask('pub', '@job:1', 'enter', 'x'.repeat(4_095))).toMatchObject({ 2: 'too_large' })
    expect(await raw.ask('pub', '@job:1', 'shout', 1)).toMatchObject({ 0: 'err', 2: 'unknown_event' })
    expect(await raw.ask('pub', '@job:1', 'enter', 'x'.repeat(4_094))).toMatchObject({ 0: 'ok' })
  })

  it('ends at once with unsub and with a goodbye, and not when a connection breaks', async () => {
    const node = await start({ presence: { grace: '10m' } })
    const observer = await enter(node, 'wim', [[2, '@job:1']])
    const enterAs = async (user: string) => {
      const raw = await enter(node, user, [[2, '@job:1', null, null, 'here']])
      await raw.answerTo(2)
      return raw
    }
    const [ann, ben, cem] = [await enterAs('ann'), await enterAs('ben'), await enterAs('cem')]
    cem.close()
    await ann.ask('unsub', '@job:1')
    ben.socket.close(1000)
    const left = () => observer.of('m').flatMap(([, , , event, data]) => (event === 'leave' ? [data] : []))
    await expect.poll(left).toEqual([{ user: 'ann' }, { user: 'ben' }])
    await expect.poll(() => node.realtime.health().connections).toBe(2)
    expect(await observer.ask('who', '@job:1')).toMatchObject({ 2: { members: [['cem', 'here']] } })
  })
})

describe('a server', () => {
  it('pings who is silent for long, and closes with 4001 who does not answer', async () => {
    const node = await start({ heartbeat: 100 })
    const [dead, alive] = [await enter(node), await enter(node)]
    alive.socket.on('message', (frame) => {
      if (frame.toString() === '["ping"]') alive.send(['pong'])
    })
    await expect(dead.closed).resolves.toEqual({ code: 4001, reason: 'no heartbeat' })
    expect(dead.of('ping').length).toBeGreaterThan(0)
    expect(alive.socket.readyState).toBe(alive.socket.OPEN)
  })

  it('closes with 1008 after 1,000 messages in a row that were over the rate', async () => {
    const node = await start({ limits: { inbound: () => ({ take: () => false }) } })
    const raw = await enter(node)
    for (let sent = 0; sent < 1_001; sent += 91)
      raw.send(...range(1, 91).map((n) => ['unsub', sent + n, 'x']))
    await expect(raw.closed).resolves.toMatchObject({ code: 1008 })
    expect(raw.of('err')).toHaveLength(1_000)
  })

  it('advises to move, and closes with 1012 who does not', async () => {
    const node = await start()
    const raw = await enter(node)
    const draining = node.realtime.drain({ over: 100, signal: AbortSignal.timeout(200) })
    await expect.poll(() => raw.of('advice')).toHaveLength(1)
    const [, reason, after, deadline] = raw.of('advice')[0] ?? []
    expect(reason).toBe('drain')
    expect(after).toBeLessThanOrEqual(100)
    expect(deadline).toBeGreaterThan(Number(after))
    await draining
    await expect(raw.closed).resolves.toMatchObject({ code: 1012 })
  })

  it('closes with 4501 when a fresh token is another user’s, and with 4002 when none came', async () => {
    const life = { at: 3_600_000 }
    const node = await start({
      authenticate: ({ token }) => ({ userId: token, expiresAt: Date.now() + life.at }),
    })
    const raw = await enter(node)
    expect(raw.messages[0]).toMatchObject({ 2: { expiresIn: expect.any(Number) } })
    expect(await raw.ask('refresh', 'ann')).toMatchObject({ 0: 'ok', 2: { expiresIn: expect.any(Number) } })
    raw.send(['refresh', 5, 'ben'])
    await expect(raw.closed).resolves.toMatchObject({ code: 4501 })
    life.at = 500
    const late = await openRaw(node.url)
    late.send(['hello', 1, 'ann', null, []])
    await expect(late.closed).resolves.toMatchObject({ code: 4002 })
  })
})
