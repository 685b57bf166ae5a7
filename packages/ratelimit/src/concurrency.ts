import type { Duration } from '@cays/core/duration'
import { OptionReader } from '@cays/core/options'
import { LimitConfigError } from './errors.ts'
import { isRedisClient, type RedisClient } from './redis-client.ts'
import { type ConcurrencyLimiter, Semaphore } from './semaphore.ts'

/** How many slots there are, and where they are counted. */
export interface ConcurrencyOptions {
  /** Most slots of one subject in use at once. */
  readonly limit: number
  /** An ioredis `Redis` or `Cluster`; without it the limit holds in this process alone. */
  readonly redis?: RedisClient
  /** First part of every key. @default 'slots' */
  readonly prefix?: string
  /**
   * A slot whose process died is free again after so long. Living processes renew theirs three times as
   * often. @default '30s'
   */
  readonly ttl?: Duration
  /** Longest time one call may wait for Redis. @default 250 */
  readonly timeout?: Duration
  /** While Redis cannot decide: hold the limit in this process, let everything in, or nothing. @default 'local' */
  readonly onError?: 'local' | 'open' | 'closed'
  /** Hash tags that subjects are spread over, the same in every process. @default 128 */
  readonly partitions?: number
}

/**
 * A semaphore shared by all processes: at most `limit` slots per subject, each a lease that its process
 * renews, so that a crash frees it after `ttl` and nothing else does.
 *
 * A process that is paused for longer than `ttl` loses its slots: it learns so from `slot.signal`, after the
 * fact. Work that must not overlap even then needs a fencing check where it writes.
 *
 * @example
 * ```ts
 * const exports = concurrency({ redis, limit: 3 })
 * await using slot = await exports.enter('account:7', { maxWait: '2s' })
 * if (!slot.allowed) throw new Error('three exports are running already')
 * ```
 */
export function concurrency(options: ConcurrencyOptions): ConcurrencyLimiter {
  const reader = new OptionReader(
    'concurrency',
    (message) => new LimitConfigError('LIMIT_ERR_BAD_OPTION', message),
  )
  reader.known(options, ['limit', 'redis', 'prefix', 'ttl', 'timeout', 'onError', 'partitions'])
  if (options.redis !== undefined && !isRedisClient(options.redis)) {
    reader.fail('redis must be an ioredis client: new Redis(url) or new Cluster(nodes)')
  }
  return new Semaphore({
    limit: reader.integer('limit', reader.required('limit', options.limit), 1, { min: 1, max: 1_000_000 }),
    redis: options.redis,
    prefix: reader.string('prefix', options.prefix, 'slots', /^[A-Za-z0-9_.:-]{1,64}$/),
    ttl: reader.duration('ttl', options.ttl, 30_000, { min: 100 }),
    timeout: reader.duration('timeout', options.timeout, 250, { min: 1 }),
    onError: reader.oneOf('onError', options.onError, 'local', ['local', 'open', 'closed']),
    partitions: reader.integer('partitions', options.partitions, 128, { min: 1, max: 16_384 }),
  })
}
