import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { Broker, Slice } from '../../src/broker.ts'
import { NodeRoom } from '../../src/node-room.ts'
import type { Member } from '../../src/room-audience.ts'

const told: unknown[] = []
const write = (message: unknown, name: unknown) => {
  const { instance, attributes } = message as { instance: string; attributes: object }
  told.push([String(name).split(':').at(-1), instance, attributes])
}
const CHANNELS = ['gap', 'repair', 'stall'].map((name) => `cays:realtime:${name}`)
beforeEach(() => {
  told.length = 0
  for (const channel of CHANNELS) subscribe(channel, write)
})
afterEach(() => {
  for (const channel of CHANNELS) unsubscribe(channel, write)
})

/** A room with one socket, whose broker answers reads with whatever `history` holds. */
async function roomOf(history: { slice: Slice }) {
  const read: Broker['read'] = async (_room, _spec, after = 0) =>
    after < history.slice.top ? history.slice : { ...history.slice, first: 0, texts: [] }
  const broker = { subscribe: async () => {}, read } as unknown as Broker
  const spec = { size: 10, ttl: 60_000 }
  const room = new NodeRoom({ key: 'r', wire: 'r', spec, broker, instance: 'node', dirty: () => {} })
  let full = false
  const member: Member = {
    deflates: false,
    backlogged: () => full,
    write: () => {},
    stalled: () => {},
  }
  await room.attach(
    member,
    undefined,
    () => {},
    () => true,
  )
  return {
    room,
    fill: () => {
      full = true
    },
  }
}

const EMPTY: Slice = { epoch: 'e', top: 0, previous: [], first: 0, texts: [] }

it('a room tells of what it read again, what nobody can bring back, and who fell behind', async () => {
  const history = { slice: EMPTY }
  const { room, fill } = await roomOf(history)
  // The live flow lost the first message.
  history.slice = { ...EMPTY, top: 2, first: 1, texts: ['"n",1', '"n",2'] }
  room.receive('e', 2, ['"n",2'])
  await room.refresh()
  expect(told).toEqual([['repair', 'node', {}]])
  history.slice = { ...EMPTY, epoch: 'other' }
  await room.refresh()
  expect(told.at(-1)).toEqual(['gap', 'node', { reason: 'lost' }])
  fill()
  room.receive('other', 1, ['"n",1'])
  room.flush()
  expect(told.at(-1)).toEqual(['stall', 'node', {}])
})
