import type { Duration } from '@cays/core/duration'
import type { OptionReader } from '@cays/core/options'
import { CALENDAR_PERIODS, type Calendar, type CalendarPeriod, calendar, PERIOD_LENGTH } from './calendar.ts'
import { counterKernel } from './counter-kernel.ts'
import { fluidKernel, fluidParameters } from './fluid-kernel.ts'
import type { Kernel, Parameters } from './kernel.ts'
import { logKernel } from './log-kernel.ts'
import {
  type Algorithm,
  definePolicy,
  type Policy,
  type PolicyOptions,
  type PolicySize,
  policyReader,
  readUnits,
  readWindow,
} from './policy.ts'
import { quotaKernel } from './quota-kernel.ts'
import { stepKernel } from './step-kernel.ts'

const COMMON = ['unit', 'mode', 'exact', 'onError', 'plans'] as const

/** A steady rate with room for bursts. */
export interface GcraOptions extends PolicyOptions {
  /** Units per window, over any length of time. */
  readonly limit: number
  readonly per: Duration
  /** Units that may be used at one moment after a rest. @default limit */
  readonly burst?: number
}

/**
 * The default choice: a steady rate with a burst allowance, one small number per subject, exact retry times.
 *
 * Over any span of time t no more than `burst + limit * t / per` units are admitted. Source: the generic cell
 * rate algorithm of ITU-T I.371, in its fluid form.
 */
export function gcra(options: GcraOptions): Policy {
  const reader = policyReader('gcra')
  reader.known(options, ['limit', 'per', 'burst', ...COMMON])
  const window = readWindow(reader, 'per', options.per)
  const limit = readUnits(reader, 'limit', options.limit)
  const burst = options.burst === undefined ? limit : readUnits(reader, 'burst', options.burst)
  return definePolicy(reader, options, {
    ...fluidDefinition('gcra', window),
    parameters: fluidParameters(burst, limit, window),
    resize(size) {
      const resized = sizeOf(reader, size, 'limit', ['limit', 'burst'])
      const newLimit = resized.limit ?? limit
      // With one number the burst keeps its proportion to the limit.
      return fluidParameters(
        resized.burst ?? Math.max(1, Math.round((burst * newLimit) / limit)),
        newLimit,
        window,
      )
    },
  })
}

/** A bucket that is refilled at a steady rate. */
export interface TokenBucketOptions extends PolicyOptions {
  /** Most tokens the bucket holds; a new subject starts with a full one. */
  readonly capacity: number
  /** Tokens that come back per `per`. @default capacity */
  readonly refill?: number
  readonly per: Duration
  /** Whether tokens trickle in or come back all at once at the end of each interval. @default 'smooth' */
  readonly style?: 'smooth' | 'interval'
}

/** A bucket of tokens, refilled smoothly or in intervals counted from the first use. Exact in both styles. */
export function tokenBucket(options: TokenBucketOptions): Policy {
  const reader = policyReader('tokenBucket')
  reader.known(options, ['capacity', 'refill', 'per', 'style', ...COMMON])
  const window = readWindow(reader, 'per', options.per)
  const capacity = readUnits(reader, 'capacity', options.capacity)
  const refill = options.refill === undefined ? capacity : readUnits(reader, 'refill', options.refill)
  const style = reader.oneOf('style', options.style, 'smooth', ['smooth', 'interval'])
  const parameters = (cap: number, rate: number): Parameters =>
    style === 'smooth' ? fluidParameters(cap, rate, window) : { cap, x: rate, y: window, z: 0 }
  return definePolicy(reader, options, {
    ...(style === 'smooth'
      ? fluidDefinition('token-bucket', window)
      : stepDefinition('token-bucket', stepKernel, window)),
    parameters: parameters(capacity, refill),
    resize(size) {
      const resized = sizeOf(reader, size, 'capacity', ['capacity', 'refill'])
      const newCapacity = resized.capacity ?? capacity
      return parameters(
        newCapacity,
        resized.refill ?? Math.max(1, Math.round((refill * newCapacity) / capacity)),
      )
    },
  })
}

/** So many per window of time. */
export interface WindowOptions extends PolicyOptions {
  /** Units per window. */
  readonly limit: number
  readonly per: Duration
}

/**
 * A window that starts with the subject's first use and ends `per` later, when everything comes back at once.
 * Two windows' worth can fall close together around their border.
 */
export function fixedWindow(options: WindowOptions): Policy {
  return windowPolicy('fixedWindow', options, (reader, window) => ({
    ...stepDefinition('fixed-window', stepKernel, window),
    sized: (cap) => ({ cap, x: cap, y: window, z: 0 }),
    reader,
  }))
}

/**
 * The sliding window counter: the last window counts in proportion to its overlap. Constant memory; an
 * estimate that is exact for even traffic below the limit.
 */
export function slidingWindow(options: WindowOptions): Policy {
  return windowPolicy('slidingWindow', options, (reader, window) => ({
    ...stepDefinition('sliding-window', counterKernel, window),
    sized: (cap) => ({ cap, x: window, y: 0, z: 0 }),
    reader,
  }))
}

/**
 * The exact sliding window: never more than `limit` units in any window, wherever it starts. Keeps one entry
 * of 16 bytes per charge, so it suits limits up to some thousands.
 */
export function slidingLog(options: WindowOptions): Policy {
  return windowPolicy('slidingLog', options, (reader, window) => ({
    ...stepDefinition('sliding-log', logKernel, window),
    sized: (cap) => ({ cap, x: window, y: 0, z: 0 }),
    reader,
  }))
}

/** So many per hour, day, week, month or year of the calendar. */
export interface QuotaOptions extends PolicyOptions {
  /** Units per calendar period. */
  readonly limit: number
  readonly period: CalendarPeriod
  /** An IANA name such as `'Europe/Berlin'`. @default 'UTC' */
  readonly timeZone?: string
}

/** A calendar quota: everything comes back at local midnight, on Monday, on the first of the month and so on. */
export function quota(options: QuotaOptions): Policy {
  const reader = policyReader('quota')
  reader.known(options, ['limit', 'period', 'timeZone', ...COMMON])
  const period = reader.oneOf('period', reader.required('period', options.period), 'day', CALENDAR_PERIODS)
  const timeZone = reader.string('timeZone', options.timeZone, 'UTC')
  let zone: Calendar
  try {
    zone = calendar(period, timeZone)
  } catch {
    return reader.fail("timeZone must be an IANA time zone such as 'Europe/Berlin'")
  }
  const cap = readUnits(reader, 'limit', options.limit)
  const sized = (size: number): Parameters => ({ cap: size, x: 0, y: 0, z: 0 })
  return definePolicy(reader, options, {
    ...stepDefinition('quota', quotaKernel, PERIOD_LENGTH[period] * 1_000),
    storage: `q-${period}-${timeZone}`,
    calendar: zone,
    parameters: sized(cap),
    resize: (size) => sized(sizeOf(reader, size, 'limit', ['limit']).limit ?? cap),
  })
}

function windowPolicy(
  factory: string,
  options: WindowOptions,
  define: (
    reader: OptionReader,
    window: number,
  ) => ReturnType<typeof stepDefinition> & {
    readonly reader: OptionReader
    readonly sized: (cap: number) => Parameters
  },
): Policy {
  const reader = policyReader(factory)
  reader.known(options, ['limit', 'per', ...COMMON])
  const { sized, ...definition } = define(reader, readWindow(reader, 'per', options.per))
  const cap = readUnits(reader, 'limit', options.limit)
  return definePolicy(reader, options, {
    ...definition,
    parameters: sized(cap),
    resize: (size) => sized(sizeOf(reader, size, 'limit', ['limit']).limit ?? cap),
  })
}

function fluidDefinition(algorithm: Algorithm, window: number) {
  return {
    algorithm,
    kernel: fluidKernel,
    storage: 'f',
    window,
    share: (parameters: Parameters, nodes: number): Parameters =>
      fluidParameters(
        shareOf(parameters.cap, nodes),
        Math.max(1, Math.floor(fluidKernel.limitOf(parameters, window) / nodes)),
        window,
      ),
  }
}

function stepDefinition(algorithm: Algorithm, kernel: Kernel, window: number) {
  return {
    algorithm,
    kernel,
    // What sliding windows keep means nothing to a window of another length.
    storage:
      { 'fixed-window': 'w', 'sliding-window': `c${window}`, 'sliding-log': `l${window}` }[
        algorithm as string
      ] ?? 'i',
    window,
    share: (parameters: Parameters, nodes: number): Parameters => ({
      ...parameters,
      cap: shareOf(parameters.cap, nodes),
      ...(kernel === stepKernel ? { x: shareOf(parameters.x, nodes) } : {}),
    }),
  }
}

// At least one unit, so that a node is never shut out; hence "within one unit per node" of the limit.
function shareOf(milli: number, nodes: number): number {
  return Math.max(Math.min(milli, 1_000), Math.floor(milli / nodes / 1_000) * 1_000)
}

function sizeOf<Name extends 'limit' | 'burst' | 'capacity' | 'refill'>(
  reader: OptionReader,
  size: PolicySize,
  main: Name,
  names: readonly Name[],
): Partial<Record<Name, number>> {
  const given = typeof size === 'number' ? { [main]: size } : size
  if (typeof given !== 'object' || given === null) {
    reader.fail(`a size must be a number of units, or an object of ${names.join(' and ')}`)
  }
  reader.known(given, names as never, 'size')
  const milli: Partial<Record<Name, number>> = {}
  for (const name of names) {
    const value = (given as Partial<Record<Name, number>>)[name]
    if (value !== undefined) milli[name] = readUnits(reader, name, value)
  }
  return milli
}
