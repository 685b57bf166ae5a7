import { createHash } from 'node:crypto'
import { createCache } from '@cays/cache'
import { Redis } from 'ioredis'
import { type Contender, defineCase } from '../../../bench/define-case.ts'
import { keys, load } from './in-memory.ts'

const BATCH = 100

function reading(name: string, encrypt: boolean): Contender {
  const secret = createHash('sha256').update('bench').digest()
  const encryption = encrypt ? [{ id: 'bench', secret }] : undefined
  return {
    name,
    async prepare({ redisUrl }) {
      const redis = new Redis(redisUrl)
      const common = {
        name: encrypt ? 'sealed' : 'plain',
        redis,
        ttl: '1h',
        l2: { timeout: '10s', encryption },
      } as const
      const writer = createCache(common)
      for (const key of keys) await writer.set(key, await load(key))
      await writer.close()
      const cache = createCache({ ...common, l1: { maxItems: 1 } })
      return {
        async run(count) {
          for (let index = 0; index < count; index++) {
            const from = (index * BATCH) % keys.length
            const found = await cache.getMany(keys.slice(from, from + BATCH))
            if (found.size !== BATCH) throw new Error('not everything is in Redis')
          }
        },
        async close() {
          await cache.close()
          redis.disconnect()
        },
      }
    },
  }
}

export const benchmark = defineCase({
  operation: 'reading 100 encrypted values that only Redis has, by one caller',
  needs: { redis: true },
  contenders: [reading('@cays/cache', true), reading('readable values', false)],
  claims: [
    {
      figure: 'getMany of 100 encrypted values beside readable ones',
      must: { added: 2_000 },
      against: 'readable values',
    },
  ],
})
