import { describe, expect, it } from 'vitest'
import { createPublisher, createRealtime, defineContract, unchecked } from '../../src/index.ts'
import { sharedMemory } from '../../src/testing.ts'

const good = { origins: 'any' as const, authenticate: () => null, authorize: { lobby: true as const } }

describe('options', () => {
  it('are refused with a code when they are wrong, before anything starts', () => {
    const contract = defineContract({ rooms: { 'job:{id}': { events: { e: unchecked() } } } })
    const wrong: object[] = [
      { ...good, origin: 'x' },
      { ...good, origins: undefined },
      { ...good, origins: 'https://one.example' },
      { ...good, authenticate: undefined },
      { ...good, authorize: undefined },
      { ...good, authorize: { lobby: 'yes' } },
      { ...good, authorize: { '~users': true } },
      { ...good, contract },
      { ...good, limits: { payload: 1 } },
      { ...good, limits: { rate: 1 } },
      { ...good, heartbeat: 'soon' },
      { ...good, redis: {} },
      { ...good, memory: {} },
      { ...good, memory: sharedMemory(), redis: { duplicate: () => {} } },
      { ...good, prefix: 'a b' },
    ]
    for (const options of wrong) {
      expect(() => createRealtime(options as never)).toThrow(
        expect.objectContaining({ code: 'REALTIME_ERR_INVALID_OPTION' }),
      )
    }
    expect(() => createPublisher({ authenticate: 1 } as never)).toThrow(/unknown option/)
  })

  it('refuse rooms, events and calls after close', async () => {
    const realtime = createRealtime(good)
    expect(() => realtime.room('job:{id}', {} as never)).toThrow(
      expect.objectContaining({ code: 'REALTIME_ERR_UNKNOWN_ROOM' }),
    )
    await realtime.close()
    await realtime.close()
    await expect(realtime.room('lobby').publish('e', 1)).rejects.toMatchObject({
      code: 'REALTIME_ERR_CLOSED',
    })
    expect(realtime.health().status).toBe('closed')
  })
})
