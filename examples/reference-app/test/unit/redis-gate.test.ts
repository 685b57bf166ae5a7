import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createRedisGate } from '../../server/redis-gate.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

/** The two things the gate looks at; `frozen` answers nothing. */
function client() {
  const state = { status: 'ready' as 'ready' | 'reconnecting' | 'end', frozen: false, pings: 0 }
  const never = () => new Promise<never>(() => {})
  return {
    state,
    redis: {
      get status() {
        return state.status
      },
      ping: () => {
        state.pings++
        return state.frozen ? never() : Promise.resolve('PONG')
      },
    } as Parameters<typeof createRedisGate>[0],
    command: vi.fn(() => (state.frozen ? never() : Promise.resolve('answer'))),
  }
}

describe('the way to Redis', () => {
  it('costs one wait when Redis freezes, not one per request, and opens again by itself', async () => {
    const { state, redis, command } = client()
    const gate = createRedisGate(redis)
    await expect(gate.ask(command)).resolves.toBe('answer')

    state.frozen = true
    const first = expect(gate.ask(command)).rejects.toThrow('in time')
    await vi.advanceTimersByTimeAsync(500)
    await first
    expect(gate.open).toBe(false)
    command.mockClear()
    for (let request = 0; request < 20; request++) await expect(gate.ask(command)).rejects.toThrow()
    expect(command).not.toHaveBeenCalled()

    await vi.advanceTimersByTimeAsync(10_000)
    expect(gate.open).toBe(false)
    state.frozen = false
    await vi.advanceTimersByTimeAsync(1_000)
    expect(gate.open).toBe(true)
    await expect(gate.ask(command)).resolves.toBe('answer')
  })

  it('sends nothing without a connection, so that nothing runs later that nobody waits for', async () => {
    const { state, redis, command } = client()
    const gate = createRedisGate(redis)
    state.status = 'reconnecting'
    await expect(gate.ask(command)).rejects.toThrow('no connection')
    expect(command).not.toHaveBeenCalled()
    state.status = 'ready'
    await expect(gate.ask(command)).resolves.toBe('answer')
  })

  it('takes an error that Redis answers as the answer it is', async () => {
    const { redis } = client()
    const gate = createRedisGate(redis)
    await expect(gate.ask(() => Promise.reject(new Error('WRONGTYPE')))).rejects.toThrow('WRONGTYPE')
    expect(gate.open).toBe(true)
  })

  it('stops asking when the client was closed', async () => {
    const { state, redis, command } = client()
    const gate = createRedisGate(redis)
    state.frozen = true
    const late = expect(gate.ask(command)).rejects.toThrow()
    await vi.advanceTimersByTimeAsync(500)
    await late
    state.status = 'end'
    await vi.advanceTimersByTimeAsync(2_000)
    const { pings } = state
    await vi.advanceTimersByTimeAsync(60_000)
    expect(state.pings).toBe(pings)
  })
})
