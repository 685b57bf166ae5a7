import { createPublisher } from '@cays/realtime'
import { Redis } from 'ioredis'
import { type Contender, defineCase } from '../../../bench/define-case.ts'
import { inFlight } from '../../../bench/in-flight.ts'

const IN_FLIGHT = 256
const data = { job: 7, title: 'Diver', island: 'Exuma', status: 'reviewed' }

function ours(rooms: number): Contender {
  return {
    name: '@cays/realtime',
    async prepare({ redisUrl }) {
      await withoutFile(redisUrl)
      const redis = new Redis(redisUrl, { lazyConnect: true })
      const publisher = createPublisher({ redis })
      const all = Array.from({ length: rooms }, (_, id) => publisher.room('job:{id}', { id }))
      return {
        run: inFlight<unknown>(
          IN_FLIGHT,
          (index) => all[index % rooms]?.publish('updated', data) ?? Promise.resolve(),
        ),
        async close() {
          await publisher.close()
          redis.disconnect()
        },
      }
    },
  }
}

// What an append-only file costs each write is between Redis and its disk; Redis has none unless it is told.
async function withoutFile(redisUrl: string): Promise<void> {
  const redis = new Redis(redisUrl)
  await redis.config('SET', 'appendonly', 'no')
  redis.disconnect()
}

const bare: Contender = {
  name: 'ioredis',
  prepare({ redisUrl }) {
    const redis = new Redis(redisUrl)
    return {
      run: inFlight(IN_FLIGHT, () => redis.publish('updated', JSON.stringify(['updated', data]))),
      close: () => redis.disconnect(),
    }
  },
}

/**
 * Publishes of one process to Redis, 256 in flight, beside bare PUBLISH, which numbers nothing, keeps nothing
 * and may be doubled by a retry. Spread over rooms each is an append of its own; to one room they are one together.
 */
export function publishing(rooms: number, ratio: number) {
  return defineCase({
    operation: rooms === 1 ? 'a publish to one busy room' : `a publish to one of ${rooms} rooms in turn`,
    needs: { redis: true },
    contenders: [ours(rooms), bare],
    claims: [
      {
        figure: rooms === 1 ? 'publish with history, batched' : 'publish with history, one by one',
        must: { ratio },
        against: 'ioredis',
        by: 'time',
      },
    ],
  })
}
