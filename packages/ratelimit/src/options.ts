import type { Duration } from '@cays/core/duration'
import { OptionReader } from '@cays/core/options'
import { LimitConfigError } from './errors.ts'
import { type FailureMode, INTERNALS, type Policy } from './policy.ts'
import { isRedisClient, type RedisClient } from './redis-client.ts'

/** The policies, where they count, and what happens when that place is away. */
export interface RateLimiterOptions<Name extends string = string> {
  /** The limits, by name. A check is held against all of them unless it names some. */
  readonly policies: { readonly [Policy_ in Name]: Policy }
  /**
   * An ioredis `Redis` or `Cluster` of version 5 or 6; the app opens and closes it. Without it the limits
   * hold in this process alone.
   */
  readonly redis?: RedisClient
  /** First part of every key. Limiters with the same prefix share policies of the same name. @default 'limit' */
  readonly prefix?: string
  /** What happens while Redis cannot decide; policies may differ. @default 'local' */
  readonly onError?: FailureMode
  /** Longest time one decision may wait for Redis. @default 100 */
  readonly timeout?: Duration
  /** Denials answered without asking Redis; `false` turns it off. */
  readonly denyCache?: false | DenyCacheSettings
  /**
   * Lets each process charge hot subjects ahead and decide without asking Redis until that is spent; `true` for
   * the defaults. Not for policies declared `exact`. @default false
   */
  readonly lease?: boolean | LeaseSettings
  /** Hash tags that subjects are spread over, the same in every process. @default 128 */
  readonly partitions?: number
  /** Most subjects per policy held in memory: without Redis, and by `onError: 'local'`. @default 100_000 */
  readonly maxSubjects?: number
  /** Time between the heartbeats that count live nodes for `onError: 'local'`. @default '5s' */
  readonly heartbeat?: Duration
  /** How many of the most denied subjects to keep for `offenders()`; 0 keeps none. @default 0 */
  readonly topOffenders?: number
  /** Label in telemetry and warnings. @default 'ratelimit' */
  readonly name?: string
}

/** How many denials a process remembers, and for how long. */
export interface DenyCacheSettings {
  /** @default 10_000 */
  readonly max?: number
  /** Longest time another process' refund, reset or new limit can go unseen. @default '1s' */
  readonly maxAge?: Duration
}

/** How much is charged ahead, see {@link RateLimiterOptions.lease}. */
export interface LeaseSettings {
  /**
   * Part of a limit that all processes together may hold unspent. That much more than the limit can be admitted
   * in a span of time (nothing more by `fixedWindow` and `quota`), and that much may lie idle. @default 0.1
   */
  readonly maxShare?: number
  /** What was not spent after so long is given back. @default '1s' */
  readonly maxAge?: Duration
}

export interface ResolvedOptions {
  readonly policies: Readonly<Record<string, Policy>>
  readonly redis: RedisClient | undefined
  readonly prefix: string
  readonly onError: FailureMode
  readonly timeout: number
  readonly denyCache: { readonly max: number; readonly maxAge: number }
  readonly lease: { readonly maxShare: number; readonly maxAge: number } | undefined
  readonly partitions: number
  readonly maxSubjects: number
  readonly heartbeat: number
  readonly topOffenders: number
  readonly name: string
}

const POLICY_NAME = /^[A-Za-z][A-Za-z0-9_-]{0,31}$/

export function readOptions(options: RateLimiterOptions): ResolvedOptions {
  const reader = new OptionReader(
    'createRateLimiter',
    (message) => new LimitConfigError('LIMIT_ERR_BAD_OPTION', message),
  )
  reader.known(options, [
    'policies',
    'redis',
    'prefix',
    'onError',
    'timeout',
    'denyCache',
    'lease',
    'partitions',
    'maxSubjects',
    'heartbeat',
    'topOffenders',
    'name',
  ])
  const { redis } = options
  if (redis !== undefined && !isRedisClient(redis)) {
    reader.fail('redis must be an ioredis client: new Redis(url) or new Cluster(nodes)')
  }
  const denyCache = options.denyCache === undefined ? {} : options.denyCache
  if (denyCache !== false) reader.known(denyCache, ['max', 'maxAge'], 'denyCache')
  const policies = readPolicies(reader, options.policies)
  return {
    policies,
    redis,
    prefix: reader.string('prefix', options.prefix, 'limit', /^[A-Za-z0-9_.:-]{1,64}$/),
    onError: reader.oneOf('onError', options.onError, 'local', ['open', 'closed', 'local']),
    timeout: reader.duration('timeout', options.timeout, 100, { min: 1 }),
    denyCache: {
      max: denyCache === false ? 0 : reader.integer('denyCache.max', denyCache.max, 10_000, { min: 0 }),
      maxAge:
        denyCache === false ? 0 : reader.duration('denyCache.maxAge', denyCache.maxAge, 1_000, { min: 0 }),
    },
    lease: readLease(reader, options.lease, policies),
    partitions: reader.integer('partitions', options.partitions, 128, { min: 1, max: 16_384 }),
    maxSubjects: reader.integer('maxSubjects', options.maxSubjects, 100_000, { min: 1 }),
    heartbeat: reader.duration('heartbeat', options.heartbeat, 5_000, { min: 50 }),
    topOffenders: reader.integer('topOffenders', options.topOffenders, 0, { min: 0, max: 10_000 }),
    name: reader.string('name', options.name, 'ratelimit', /^.{1,64}$/),
  }
}

function readLease(
  reader: OptionReader,
  given: boolean | LeaseSettings | undefined,
  policies: Readonly<Record<string, Policy>>,
): ResolvedOptions['lease'] {
  if (given === undefined || given === false) return undefined
  const settings = given === true ? {} : given
  reader.known(settings, ['maxShare', 'maxAge'], 'lease')
  for (const [name, { exact }] of Object.entries(policies)) {
    if (exact) reader.fail(`lease is not for policies declared exact: policies.${name} is`)
  }
  return {
    maxShare: reader.number('lease.maxShare', settings.maxShare, 0.1, { min: 0.001, max: 1 }),
    maxAge: reader.duration('lease.maxAge', settings.maxAge, 1_000, { min: 10, max: 60_000 }),
  }
}

function readPolicies(reader: OptionReader, given: unknown): Readonly<Record<string, Policy>> {
  const policies = reader.required('policies', given)
  if (typeof policies !== 'object') reader.fail('policies must be an object of policies by name')
  const entries = Object.entries(policies as Record<string, Policy>)
  if (entries.length === 0) reader.fail('policies must name at least one policy')
  if (entries.length > 32) reader.fail('policies must name at most 32 policies')
  for (const [name, policy] of entries) {
    if (!POLICY_NAME.test(name)) reader.fail(`a policy's name must match ${POLICY_NAME.source}`)
    if (typeof policy !== 'object' || policy === null || !policy[INTERNALS]) {
      reader.fail(
        `policies.${name} must be made by gcra(), tokenBucket(), slidingWindow() or another of them`,
      )
    }
  }
  return Object.fromEntries(entries)
}
