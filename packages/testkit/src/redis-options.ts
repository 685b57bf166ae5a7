import type { Duration } from '@cays/core/duration'
import { OptionReader } from '@cays/core/options'
import { TestkitError } from './errors.ts'
import type { RedisSettings } from './redis-verbs.ts'

/** Options of every mode. */
export interface CommonRedisOptions {
  /** Asked of every client, and by replicas and sentinels of their primary. */
  readonly password?: string | undefined
  /** Further settings of `redis.conf`, for every server that holds data, e.g. `{ maxmemory: '20mb' }`. */
  readonly config?: RedisSettings | undefined
  /** Gives up the start; what was started is ended. */
  readonly signal?: AbortSignal | undefined
}

/** One server, the default. */
export interface StandaloneRedisOptions extends CommonRedisOptions {
  readonly mode?: 'standalone' | undefined
}

/** A primary with replicas, watched by sentinels. */
export interface SentinelRedisOptions extends CommonRedisOptions {
  readonly mode: 'sentinel'
  /** What sentinels call the set-up. @default 'mymaster' */
  readonly name?: string | undefined
  /** Replicas of the primary. @default 1 */
  readonly replicas?: number | undefined
  /** Number of sentinels; the quorum is more than half. @default 3 */
  readonly sentinels?: number | undefined
  /** Silence of the primary after which a sentinel holds it for dead. @default '1s' */
  readonly downAfter?: Duration | undefined
}

/** A cluster. */
export interface ClusterRedisOptions extends CommonRedisOptions {
  readonly mode: 'cluster'
  /** Primaries; the slots are shared out evenly. @default 3 */
  readonly primaries?: number | undefined
  /** Replicas of each primary; failover needs at least one. @default 0 */
  readonly replicas?: number | undefined
  /** Silence of a node after which the others hold it for dead. @default '2s' */
  readonly nodeTimeout?: Duration | undefined
}

export type RedisOptions = StandaloneRedisOptions | SentinelRedisOptions | ClusterRedisOptions

interface ReadCommon {
  readonly password: string | undefined
  readonly config: RedisSettings
  readonly signal: AbortSignal | undefined
}

export interface ReadSentinelOptions extends ReadCommon {
  readonly mode: 'sentinel'
  readonly name: string
  readonly replicas: number
  readonly sentinels: number
  readonly downAfter: number
}

export interface ReadClusterOptions extends ReadCommon {
  readonly mode: 'cluster'
  readonly primaries: number
  readonly replicas: number
  readonly nodeTimeout: number
}

export type ReadRedisOptions =
  | (ReadCommon & { readonly mode: 'standalone' })
  | ReadSentinelOptions
  | ReadClusterOptions

const COMMON = ['mode', 'password', 'config', 'signal'] as const

/** Checks what the user passed and fills in the defaults. */
export function readRedisOptions(options: RedisOptions): ReadRedisOptions {
  const read = new OptionReader('startRedis', (message) => new TestkitError('TESTKIT_ERR_OPTIONS', message))
  const mode = read.oneOf('mode', options?.mode, 'standalone', ['standalone', 'sentinel', 'cluster'])
  const common: ReadCommon = {
    // One word on one line of redis.conf, and in AUTH.
    password: read.string('password', options.password, '', /^[^\r\n\0]*$/) || undefined,
    config: options.config ?? {},
    signal: options.signal,
  }
  if (options.mode === 'sentinel') {
    read.known(options, [...COMMON, 'name', 'replicas', 'sentinels', 'downAfter'])
    return {
      ...common,
      mode: 'sentinel',
      name: read.string('name', options.name, 'mymaster', /^[\w.-]+$/),
      replicas: read.integer('replicas', options.replicas, 1, { min: 0, max: 10 }),
      sentinels: read.integer('sentinels', options.sentinels, 3, { min: 1, max: 9 }),
      downAfter: read.duration('downAfter', options.downAfter, 1_000, { min: 100 }),
    }
  }
  if (options.mode === 'cluster') {
    read.known(options, [...COMMON, 'primaries', 'replicas', 'nodeTimeout'])
    return {
      ...common,
      mode: 'cluster',
      primaries: read.integer('primaries', options.primaries, 3, { min: 1, max: 20 }),
      replicas: read.integer('replicas', options.replicas, 0, { min: 0, max: 5 }),
      nodeTimeout: read.duration('nodeTimeout', options.nodeTimeout, 2_000, { min: 200 }),
    }
  }
  read.known(options, COMMON)
  return { ...common, mode: mode as 'standalone' }
}
