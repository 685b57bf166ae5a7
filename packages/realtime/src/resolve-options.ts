import { OptionReader } from '@cays/core/options'
import type { HistorySpec } from './broker.ts'
import type { Contract, RoomContract } from './contract.ts'
import { RealtimeError } from './errors.ts'
import type { Compression } from './frame.ts'
import { MemoryRooms } from './memory-rooms.ts'
import type {
  BaseOptions,
  CompressionOptions,
  Identity,
  LimitOptions,
  PresenceOptions,
  RealtimeOptions,
} from './options.ts'
import { type Taker, TokenBucket } from './token-bucket.ts'

const SERVER_OPTIONS = [
  'origins',
  'authenticate',
  'authorize',
  'limits',
  'presence',
  'heartbeat',
  'checkInterval',
  'compression',
] as const

export interface ResolvedBase {
  readonly memory: MemoryRooms
  readonly prefix: string
  readonly history: HistorySpec
  readonly timeout: number
  readonly idempotencyWindow: number
  readonly name: string
}

export interface ResolvedLimits {
  readonly payload: number
  readonly rooms: number
  readonly inbound: () => Taker
  readonly outbound: number
  readonly connectionsPerUser: number
  readonly connectionsPerAddress: number
  readonly connections: number
  readonly handshakes: number
  readonly handshakeTimeout: number
}

const BASE_NAMES = [
  'contract',
  'redis',
  'memory',
  'prefix',
  'history',
  'timeout',
  'idempotencyWindow',
  'name',
] as const satisfies readonly (keyof BaseOptions<Contract>)[]

export function optionReader(subject: string): OptionReader {
  return new OptionReader(subject, (message) => new RealtimeError('REALTIME_ERR_INVALID_OPTION', message))
}

export function resolveBase<C extends Contract>(
  options: BaseOptions<C>,
  reader: OptionReader,
  more: readonly string[] = [],
): ResolvedBase {
  reader.known(options, [...BASE_NAMES, ...more] as never)
  if (options.redis !== undefined && typeof options.redis.duplicate !== 'function') {
    reader.fail('redis must be an ioredis Redis or Cluster')
  }
  const { redis, memory } = options
  if (memory !== undefined && (redis !== undefined || typeof (memory as MemoryRooms).join !== 'function')) {
    reader.fail('memory must be a sharedMemory(), and goes without redis')
  }
  for (const [pattern, room] of Object.entries(options.contract?.rooms ?? {})) {
    checkPattern(pattern, reader)
    historySpec(room, { size: 1, ttl: 1 }, reader, `contract.rooms['${pattern}'].history`)
  }
  return {
    // Without either, a node has rooms of its own.
    memory: (memory as MemoryRooms | undefined) ?? new MemoryRooms(),
    prefix: reader.string('prefix', options.prefix, 'rt', /^[\w.-]{1,64}$/),
    history: historySpec({ ...options }, { size: 200, ttl: 300_000 }, reader, 'history'),
    timeout: reader.duration('timeout', options.timeout, 5_000, { min: 100 }),
    idempotencyWindow: reader.duration('idempotencyWindow', options.idempotencyWindow, 300_000, {
      min: 1_000,
    }),
    name: reader.string('name', options.name, 'realtime'),
  }
}

/** A room's own history, completed by the fallback. */
export function historySpec(
  room: Pick<RoomContract, 'history'> | undefined,
  fallback: HistorySpec,
  reader: OptionReader,
  path: string,
): HistorySpec {
  const history = room?.history
  if (history !== undefined) reader.known(history, ['size', 'ttl'], path)
  return {
    size: reader.integer(`${path}.size`, history?.size, fallback.size, { min: 1, max: 100_000 }),
    ttl: reader.duration(`${path}.ttl`, history?.ttl, fallback.ttl, { min: 1 }),
  }
}

function checkPattern(pattern: string, reader: OptionReader): void {
  if (!/^[A-Za-z0-9{]/.test(pattern) || pattern.length > 128 || /[\s%]/.test(pattern)) {
    reader.fail(
      `a room pattern must begin with a letter or digit, without spaces or %: '${pattern.slice(0, 40)}'`,
    )
  }
}

function resolvePresence(presence: PresenceOptions = {}, reader: OptionReader) {
  reader.known(presence, ['grace', 'lease'], 'presence')
  return {
    grace: reader.duration('presence.grace', presence.grace, 10_000, { min: 0 }),
    lease: reader.duration('presence.lease', presence.lease, 6_000, { min: 300 }),
  }
}

function resolveCompression(
  compression: boolean | CompressionOptions = false,
  reader: OptionReader,
): Compression | undefined {
  if (compression === false) return undefined
  const given = compression === true ? {} : compression
  reader.known(given, ['threshold'], 'compression')
  return { threshold: reader.integer('compression.threshold', given.threshold, 1_024) }
}

function resolveLimits(limits: LimitOptions = {}, reader: OptionReader): ResolvedLimits {
  reader.known(
    limits,
    [
      'payload',
      'rooms',
      'inbound',
      'outbound',
      'connectionsPerUser',
      'connectionsPerAddress',
      'connections',
      'handshakes',
      'handshakeTimeout',
      'publishes',
    ],
    'limits',
  )
  const positive = { min: 1 }
  return {
    payload: reader.integer('limits.payload', limits.payload, 65_536, { min: 256, max: 16_777_216 }),
    rooms: reader.integer('limits.rooms', limits.rooms, 128, positive),
    inbound: inboundLimiter(limits.inbound, reader),
    outbound: reader.integer('limits.outbound', limits.outbound, 1_048_576, { min: 16_384 }),
    connectionsPerUser: reader.integer('limits.connectionsPerUser', limits.connectionsPerUser, 20, positive),
    connectionsPerAddress: reader.integer(
      'limits.connectionsPerAddress',
      limits.connectionsPerAddress,
      1_000,
      positive,
    ),
    connections: reader.integer('limits.connections', limits.connections, 50_000, positive),
    handshakes: reader.integer('limits.handshakes', limits.handshakes, 500, positive),
    handshakeTimeout: reader.duration('limits.handshakeTimeout', limits.handshakeTimeout, 10_000, {
      min: 100,
    }),
  }
}

function inboundLimiter(inbound: LimitOptions['inbound'], reader: OptionReader): () => Taker {
  if (typeof inbound === 'function') return inbound
  if (inbound !== undefined) reader.known(inbound, ['rate', 'burst'], 'limits.inbound')
  const rate = reader.number('limits.inbound.rate', inbound?.rate, 50, { min: 0.1 })
  const burst = reader.number('limits.inbound.burst', inbound?.burst, 100, { min: 1 })
  return () => new TokenBucket({ rate, burst })
}

/** Every option of a node, checked. */
export function resolveServer<C extends Contract, Who extends Identity>(
  options: RealtimeOptions<C, Who>,
  reader: OptionReader,
) {
  const base = resolveBase(options, reader, SERVER_OPTIONS)
  const limits = resolveLimits(options.limits, reader)
  const heartbeat = reader.duration('heartbeat', options.heartbeat, 25_000, { min: 100 })
  const checkInterval = reader.duration('checkInterval', options.checkInterval, 10_000, { min: 50 })
  const capacity = reader.integer('limits.publishes', options.limits?.publishes, 10_000, { min: 1 })
  const origins = reader.required('origins', options.origins)
  if (origins !== 'any' && !Array.isArray(origins)) {
    reader.fail("origins must be a list of origins, or 'any'")
  }
  const authenticate = reader.required('authenticate', reader.function('authenticate', options.authenticate))
  const rules = new Map(Object.entries(reader.required('authorize', options.authorize)))
  for (const [pattern, rule] of rules) {
    checkPattern(pattern, reader)
    if (rule !== true && typeof rule !== 'function') {
      reader.fail(`authorize['${pattern}'] must be a function or true`)
    }
  }
  for (const pattern of Object.keys(options.contract?.rooms ?? {})) {
    if (!rules.has(pattern)) reader.fail(`authorize['${pattern}'] is required: the contract has that room`)
  }
  const presenceTimes = resolvePresence(options.presence, reader)
  const compression = resolveCompression(options.compression, reader)
  return {
    base,
    limits,
    heartbeat,
    checkInterval,
    capacity,
    origins,
    authenticate,
    rules,
    presenceTimes,
    compression,
  }
}
