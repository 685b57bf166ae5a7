import { createServer } from 'node:http'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createRealtime } from '../../src/index.ts'

function createNode() {
  return createRealtime({
    origins: 'any',
    authenticate: () => null,
    authorize: { lobby: true, 'job:{id}': true },
  })
}

let realtime: ReturnType<typeof createNode>
beforeEach(() => {
  realtime = createNode()
})
afterEach(() => realtime.close())

it('an event without a name made a frame that no client could read: it is refused', async () => {
  const room = realtime.room('lobby')
  for (const event of [undefined, null, 5, '']) {
    await expect(room.publish(event as never, 1 as never)).rejects.toMatchObject({
      code: 'REALTIME_ERR_UNKNOWN_EVENT',
    })
  }
  await expect(room.publish('x'.repeat(257), 1)).rejects.toMatchObject({ code: 'REALTIME_ERR_UNKNOWN_EVENT' })
  expect(await room.position()).toMatchObject({ offset: 0 })
  await expect(room.publish('x'.repeat(256), 1)).resolves.toMatchObject({ offset: 1 })
})

it('an idempotency key that is no text was taken for any other: it is refused', async () => {
  for (const idempotencyKey of [null, 5, {}, '', 'x'.repeat(257)]) {
    const publishing = realtime.room('lobby').publish('e', 1, { idempotencyKey } as never)
    await expect(publishing).rejects.toMatchObject({ code: 'REALTIME_ERR_TOO_LARGE' })
  }
})

it('a message to nobody was stored for a user of that name: it is refused', () => {
  for (const id of [undefined, null, 5, '']) {
    expect(() => realtime.user(id as never)).toThrow(
      expect.objectContaining({ code: 'REALTIME_ERR_UNKNOWN_ROOM' }),
    )
  }
})

it('a parameter that is no number named the room of all that are none: it is refused', () => {
  for (const id of [Number.NaN, Number.POSITIVE_INFINITY]) {
    expect(() => realtime.room('job:{id}', { id })).toThrow(
      expect.objectContaining({ code: 'REALTIME_ERR_UNKNOWN_ROOM' }),
    )
  }
})

describe('a server attached twice on one path ended the process at the first connection', () => {
  const refused = expect.objectContaining({ code: 'REALTIME_ERR_INVALID_OPTION' })
  const server = createServer()

  it('by one node: it is refused until the first is disposed of', () => {
    const first = realtime.attach(server)
    expect(() => realtime.attach(server)).toThrow(refused)
    first[Symbol.dispose]()
    const second = realtime.attach(server)
    first[Symbol.dispose]()
    expect(() => realtime.attach(server)).toThrow(refused)
    second[Symbol.dispose]()
    expect(server.listenerCount('upgrade')).toBe(0)
  })

  it('by two nodes: it is refused until the first is closed', async () => {
    await using other = createNode()
    realtime.attach(server)
    expect(() => other.attach(server)).toThrow(refused)
    other.attach(createServer())
    await realtime.close()
    other.attach(server)
    expect(server.listenerCount('upgrade')).toBe(1)
  })
})
