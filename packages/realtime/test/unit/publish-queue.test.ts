import { describe, expect, it } from 'vitest'
import type { Append, Appended, Broker } from '../../src/broker.ts'
import { RealtimeError } from '../../src/errors.ts'
import { PublishQueue } from '../../src/publish-queue.ts'

const spec = { size: 100, ttl: 60_000 }

/** A broker of one lane that writes down its calls and numbers rooms from 1. */
function recordingBroker(refusedRoom?: string) {
  const calls: (readonly Append[])[] = []
  const tops = new Map<string, number>()
  async function append(appends: readonly Append[]): Promise<readonly Appended[]> {
    calls.push(appends)
    return appends.map(({ room, texts }) => {
      if (room === refusedRoom) return new RealtimeError('REALTIME_ERR_REFUSED', 'not this room')
      const top = tops.get(room) ?? 0
      tops.set(room, top + texts.length)
      return { epoch: 'e', offset: top + 1 }
    })
  }
  const broker = { lane: () => '', append } as unknown as Broker
  return { calls, tops, queue: new PublishQueue(broker, { capacity: 300 }) }
}

describe('the publish queue', () => {
  it('sends what is published in one turn in one call, in order per room, and tells each its position', async () => {
    const { queue, calls } = recordingBroker()
    const told = ['a', 'b', 'a', 'a', 'b'].map((room, n) => queue.publish({ room, spec, text: `${n}` }))
    expect((await Promise.all(told)).map(({ offset }) => offset)).toEqual([1, 1, 2, 3, 2])
    expect(calls.map((appends) => appends.map(({ room, texts }) => [room, texts]))).toEqual([
      [
        ['a', ['0', '2', '3']],
        ['b', ['1', '4']],
      ],
    ])
  })

  it('gives a message with a key of its own an append of its own, without changing the order', async () => {
    const { queue, calls } = recordingBroker()
    const key = 'mine'
    const told = [undefined, key, undefined].map((key, n) =>
      queue.publish({ room: 'a', spec, text: `${n}`, key }),
    )
    expect((await Promise.all(told)).map(({ offset }) => offset)).toEqual([1, 2, 3])
    expect(calls[0]?.map(({ texts }) => texts)).toEqual([['0'], ['1'], ['2']])
    expect(calls[0]?.map(({ key }) => key)).toEqual([undefined, key, undefined])
  })

  it('refuses only the room that was refused', async () => {
    const { queue, tops } = recordingBroker('bad')
    const told = ['a', 'bad', 'b', 'a'].map((room, n) => queue.publish({ room, spec, text: `${n}` }))
    const outcomes = await Promise.allSettled(told)
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled'])
    expect(outcomes[1]).toMatchObject({ reason: { code: 'REALTIME_ERR_REFUSED' } })
    expect(Object.fromEntries(tops)).toEqual({ a: 2, b: 1 })
  })

  it('bounds what travels in a call, and refuses what is above its capacity', async () => {
    const { queue, calls } = recordingBroker()
    const told = Array.from({ length: 301 }, (_, n) => queue.publish({ room: 'a', spec, text: `${n}` }))
    const outcomes = await Promise.allSettled(told)
    expect(outcomes.at(-1)).toMatchObject({ reason: { code: 'REALTIME_ERR_OVERLOADED' } })
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(300)
    expect(calls.map((appends) => appends.flatMap(({ texts }) => texts).length)).toEqual([256, 44])
    calls.length = 0
    const long = 'x'.repeat(600_000)
    const texts = ['a', long, 'b', long, `${long}${long}`, 'c']
    await Promise.all(texts.map((text) => queue.publish({ room: 'a', spec, text })))
    expect(calls.map((appends) => appends.flatMap((one) => one.texts).length)).toEqual([3, 1, 1, 1])
  })
})
