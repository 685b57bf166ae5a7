import { raceDeadline } from '@cays/core/abort'
import type { Redis } from 'ioredis'

/** How long an answer may take before Redis counts as away. */
const PATIENCE = 500
/** Between two questions whether it is back. */
const RETRY = 250

/** The way to Redis for what a visitor waits for. */
export interface RedisGate {
  /** False while Redis is known to be away. */
  readonly open: boolean
  /** Sends what `send` sends. Rejects at once while Redis is known to be away, else within half a second. */
  ask<T>(send: () => Promise<T>): Promise<T>
}

/**
 * A server that is gone or frozen costs one wait, not one per request: the first command without an answer
 * shuts the gate, and from then on pings, which no visitor waits for, find out when Redis is back. Nothing is
 * left for later in the client's offline queue.
 */
export function createRedisGate(redis: Pick<Redis, 'status' | 'ping'>): RedisGate {
  let shut = false
  const inTime = <T>(answer: Promise<T>) =>
    raceDeadline(answer, PATIENCE, () => new NoAnswer('Redis did not answer in time'))

  const reopen = async () => {
    while (redis.status !== 'end') {
      try {
        if (redis.status === 'ready') {
          await inTime(redis.ping())
          break
        }
      } catch {
        // Still away.
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY).unref())
    }
    shut = false
  }

  return {
    get open() {
      return !shut && redis.status === 'ready'
    },
    async ask(send) {
      if (redis.status !== 'ready') throw new NoAnswer('there is no connection to Redis')
      if (shut) throw new NoAnswer('Redis does not answer')
      try {
        return await inTime(send())
      } catch (error) {
        if (error instanceof NoAnswer && !shut) {
          shut = true
          void reopen()
        }
        throw error
      }
    },
  }
}

class NoAnswer extends Error {}
