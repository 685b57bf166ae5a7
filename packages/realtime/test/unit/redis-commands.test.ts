import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import type { RedisClient } from '../../src/redis-client.ts'
import { RedisCommands } from '../../src/redis-commands.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** A server whose connection answers, or is silently dead. */
function server(alive: boolean) {
  return {
    status: 'ready',
    ping: () => (alive ? Promise.resolve('PONG') : new Promise(() => {})),
    disconnect: vi.fn(),
  }
}

it('a silently dead connection to a server of a cluster is found by a ping, and given up alone', async () => {
  const [alive, dead] = [server(true), server(false)]
  const client = {
    ...server(true),
    isCluster: true,
    nodes: () => [alive, dead],
    on: () => {},
    duplicate: () => client,
  }
  const commands = new RedisCommands({
    redis: client as unknown as RedisClient,
    timeout: 1_000,
    heartbeat: 5_000,
  })
  await vi.advanceTimersByTimeAsync(9_900)
  expect(dead.disconnect).not.toHaveBeenCalled()
  await vi.advanceTimersByTimeAsync(200)
  expect(dead.disconnect).toHaveBeenCalledTimes(1)
  expect(alive.disconnect).not.toHaveBeenCalled()
  commands.close()
})
