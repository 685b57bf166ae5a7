import type { Duration } from '@cays/core/duration'
import { OptionReader } from '@cays/core/options'
import type { Calendar } from './calendar.ts'
import { LimitConfigError } from './errors.ts'
import type { Kernel, Parameters } from './kernel.ts'

/** How a policy counts. */
export type Algorithm = 'gcra' | 'token-bucket' | 'fixed-window' | 'sliding-window' | 'sliding-log' | 'quota'

/**
 * What to do with a policy while Redis cannot decide: `'open'` lets everything pass, `'closed'` denies
 * everything, `'local'` goes on in this process with its share of the limit among the live nodes.
 */
export type FailureMode = 'open' | 'closed' | 'local'

/** How large a limit is: the fields of the policy's own factory, or one number for its main one. */
export type PolicySize =
  | number
  | {
      readonly limit?: number
      readonly burst?: number
      readonly capacity?: number
      readonly refill?: number
    }

/** Options every policy takes. */
export interface PolicyOptions {
  /** What is counted, for headers and reports. @default 'requests' */
  readonly unit?: string
  /** `'shadow'` counts and reports but never denies: to try a limit on live traffic. @default 'enforce' */
  readonly mode?: 'enforce' | 'shadow'
  /** True forbids `lease` in a limiter with this policy: every unit is to be decided by Redis. @default false */
  readonly exact?: boolean
  /** @default the limiter's `onError` */
  readonly onError?: FailureMode
  /** Other sizes by plan name, chosen per call with `plan`. */
  readonly plans?: Readonly<Record<string, PolicySize>>
}

/** One limit, made by `gcra`, `tokenBucket`, `fixedWindow`, `slidingWindow`, `slidingLog` or `quota`. */
export interface Policy {
  readonly algorithm: Algorithm
  /** Units per window that the policy stands for. */
  readonly limit: number
  /** Most units that can be used at one moment. */
  readonly capacity: number
  /** Length of the window in milliseconds (nominal for calendar quotas). */
  readonly window: number
  readonly unit: string
  readonly mode: 'enforce' | 'shadow'
  readonly exact: boolean
  readonly onError: FailureMode | undefined
  readonly plans: readonly string[]
  /** @internal */
  readonly [INTERNALS]: PolicyInternals
}

/** @internal */
export const INTERNALS: unique symbol = Symbol.for('cays.ratelimit.policy') as never

/** @internal */
export interface PolicyInternals {
  readonly kernel: Kernel
  readonly parameters: Parameters
  readonly calendar: Calendar | undefined
  /** Part of the storage key: two policies whose stored numbers mean different things never share one. */
  readonly storage: string
  plan(name: string): Parameters | undefined
  resize(size: PolicySize): Parameters
  /** The parameters of one of `nodes` equal shares. */
  share(parameters: Parameters, nodes: number): Parameters
}

/** Most units a limit may have; with it every product stays within exact whole numbers. */
export const MAX_LIMIT = 1_000_000_000

export function policyReader(factory: string): OptionReader {
  return new OptionReader(factory, (message) => new LimitConfigError('LIMIT_ERR_BAD_OPTION', message))
}

/** Milli-units of a limit's size; refuses what is not a number of units from 0.001 to a billion. */
export function readUnits(reader: OptionReader, name: string, value: unknown): number {
  const milli = typeof value === 'number' ? Math.round(value * 1_000) : Number.NaN
  if (!(milli >= 1 && milli <= MAX_LIMIT * 1_000)) {
    reader.fail(`${name} must be a number of units between 0.001 and ${MAX_LIMIT}`)
  }
  return milli
}

/** Microseconds of a window. */
export function readWindow(reader: OptionReader, name: string, value: Duration): number {
  const milliseconds = reader.duration(name, reader.required(name, value), 0, {
    min: 0.001,
    max: 10 * 366 * 86_400_000,
  })
  return Math.max(1, Math.round(milliseconds * 1_000))
}

export interface PolicyDefinition {
  readonly algorithm: Algorithm
  readonly storage: string
  readonly kernel: Kernel
  readonly calendar?: Calendar
  /** Microseconds. */
  readonly window: number
  readonly parameters: Parameters
  readonly resize: (size: PolicySize) => Parameters
  readonly share: (parameters: Parameters, nodes: number) => Parameters
}

const UNIT = /^[a-z][a-z0-9-]{0,31}$/

export function definePolicy(
  reader: OptionReader,
  options: PolicyOptions,
  definition: PolicyDefinition,
): Policy {
  const { algorithm, kernel, parameters, window, resize } = definition
  const plans = new Map<string, Parameters>()
  if (options.plans !== undefined) {
    if (typeof options.plans !== 'object' || options.plans === null) reader.fail('plans must be an object')
    for (const [name, size] of Object.entries(options.plans)) plans.set(name, resize(size))
  }
  const mode = reader.oneOf('mode', options.mode, 'enforce', ['enforce', 'shadow'])
  const onError =
    options.onError === undefined
      ? undefined
      : reader.oneOf('onError', options.onError, 'local', ['open', 'closed', 'local'])
  return {
    algorithm,
    limit: kernel.limitOf(parameters, window) / 1_000,
    capacity: parameters.cap / 1_000,
    window: window / 1_000,
    unit: reader.string('unit', options.unit, 'requests', UNIT),
    mode,
    exact: reader.boolean('exact', options.exact, false),
    onError,
    plans: [...plans.keys()],
    [INTERNALS]: {
      kernel,
      parameters,
      calendar: definition.calendar,
      storage: definition.storage,
      plan: (name) => plans.get(name),
      resize,
      share: definition.share,
    },
  }
}
