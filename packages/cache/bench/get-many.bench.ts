import { createCache } from '@cays/cache'
import { Redis } from 'ioredis'
import { LRUCache } from 'lru-cache'
import { defineCase } from '../../../bench/define-case.ts'
import { keys, load } from './in-memory.ts'

const BATCH = 100

/** 100 keys in turn, of the thousand that are in Redis. */
function batchOf(index: number): readonly string[] {
  const from = (index * BATCH) % keys.length
  return keys.slice(from, from + BATCH)
}

export const benchmark = defineCase({
  operation: 'reading 100 keys that only Redis has, by one caller',
  needs: { redis: true },
  contenders: [
    {
      name: '@cays/cache',
      async prepare({ redisUrl }) {
        const redis = new Redis(redisUrl)
        const writer = createCache({ name: 'bench', redis, ttl: '1h', l2: { timeout: '10s' } })
        for (const key of keys) await writer.set(key, await load(key))
        await writer.close()
        // One item: whatever is read pushes out what was read before.
        const cache = createCache({
          name: 'bench',
          redis,
          ttl: '1h',
          l1: { maxItems: 1 },
          l2: { timeout: '10s' },
        })
        return {
          async run(count) {
            for (let index = 0; index < count; index++) {
              const found = await cache.getMany(batchOf(index))
              if (found.size !== BATCH) throw new Error('not everything is in Redis')
            }
          },
          async close() {
            await cache.close()
            redis.disconnect()
          },
        }
      },
    },
    {
      name: 'ioredis',
      async prepare({ redisUrl }) {
        const redis = new Redis(redisUrl)
        for (const key of keys) await redis.set(`mget:${key}`, JSON.stringify(await load(key)))
        return {
          async run(count) {
            for (let index = 0; index < count; index++) {
              const texts = await redis.mget(batchOf(index).map((key) => `mget:${key}`))
              const found = new Map(texts.map((text) => [text, JSON.parse(text ?? 'null')]))
              if (found.size !== BATCH) throw new Error('not everything is in Redis')
            }
          },
          close: () => redis.disconnect(),
        }
      },
    },
    {
      // The same work without a cache around it: which run of the server answered, what is in the envelope, and an
      // LRU that is full. No cache that keeps what it reads, and knows that Redis did not lose writes, can do less.
      name: 'floor',
      async prepare({ redisUrl }) {
        const redis = new Redis(redisUrl)
        const run =
          "return {redis.call('TIME')[1], string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')}"
        const lru = new LRUCache<string, { readonly value: unknown }>({ max: 1, maxSize: 2 ** 26 })
        const header = `1${'0'.repeat(23)}1763860000.123456.12345678|1|`
        for (const key of keys) {
          await redis.set(`floor:${key}`, `${header}["${key}"]\nj${JSON.stringify(await load(key))}`)
        }
        return {
          async run(count) {
            for (let index = 0; index < count; index++) {
              const batch = batchOf(index)
              const commands = [
                ['mget', ...batch.map((key) => `floor:${key}`)],
                ['eval', run, '0'],
              ]
              const [texts] = (await redis.pipeline(commands).exec()) ?? []
              const found = new Map<string, unknown>()
              for (const [position, text] of ((texts?.[1] ?? []) as string[]).entries()) {
                const key = batch[position] ?? ''
                const value: unknown = JSON.parse(text.slice(text.indexOf('\n') + 2))
                lru.set(key, { value }, { size: text.length })
                found.set(key, value)
              }
              if (found.size !== BATCH) throw new Error('not everything is in Redis')
            }
          },
          close: () => redis.disconnect(),
        }
      },
    },
  ],
  claims: [
    {
      figure: 'getMany of 100 beside MGET and JSON.parse',
      must: { ratio: 1.3 },
      against: 'ioredis',
      by: 'time',
    },
  ],
})
