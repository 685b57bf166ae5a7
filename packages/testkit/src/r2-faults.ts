import type { Duration } from '@cays/core/duration'
import { OptionReader } from '@cays/core/options'
import { TestkitError } from './errors.ts'
import type { R2Operation } from './r2-operation.ts'

/**
 * Something that goes wrong for the requests it fits. A fault does one or more of: wait (`latency`), refuse (`status`),
 * close the connection (`cut`), slow the bytes down (`bytesPerSecond`).
 */
export interface R2Fault {
  /** Only these operations. @default all */
  readonly operation?: R2Operation | readonly R2Operation[] | undefined
  /** Only keys that start with this. @default all */
  readonly prefix?: string | undefined
  /** Only this part of a multipart upload. @default all */
  readonly partNumber?: number | undefined
  /** Share of the requests that fit, drawn from the server's seed. @default 1 */
  readonly probability?: number | undefined
  /** Lets this many fitting requests pass first. @default 0 */
  readonly skip?: number | undefined
  /** Ends after this many hits. @default no end */
  readonly count?: number | undefined

  /** Waits before anything else happens. */
  readonly latency?: Duration | undefined
  /** Refuses, before anything has changed unless `when` says otherwise. */
  readonly status?: 429 | 500 | 503 | undefined
  /** Whether `status` comes before or after the operation has taken effect. @default 'before' */
  readonly when?: 'before' | 'after' | undefined
  /**
   * Ends the connection: before the operation, after it has taken effect but before a byte of the answer, or at a
   * number of bytes of content: a download delivers exactly so many, an upload is not read much further.
   */
  readonly cut?: 'before' | 'after' | number | undefined
  /** Limits the speed of the content, up or down, to this. */
  readonly bytesPerSecond?: number | undefined
}

/** What one request has to suffer. */
export interface R2Harm {
  readonly latency: number
  readonly status: 429 | 500 | 503 | undefined
  readonly when: 'before' | 'after'
  readonly cut: 'before' | 'after' | number | undefined
  readonly bytesPerSecond: number | undefined
}

interface ActiveFault {
  readonly fault: R2Fault
  readonly latency: number
  seen: number
  hits: number
}

const FIELDS = [
  'operation',
  'prefix',
  'partNumber',
  'probability',
  'skip',
  'count',
  'latency',
  'status',
  'when',
  'cut',
  'bytesPerSecond',
] as const
const MAX_FAULTS = 1000

/** The faults in force, in the order in which they were set; several may hit one request. */
export class R2FaultPlan {
  readonly #active = new Set<ActiveFault>()
  #random: number

  constructor(seed: number) {
    this.#random = seed
  }

  /** Puts a fault in force until the result is disposed or its `count` is used up. */
  add(fault: R2Fault): Disposable {
    const active: ActiveFault = { fault: { ...fault }, latency: checkFault(fault), seen: 0, hits: 0 }
    if (this.#active.size === MAX_FAULTS) throw reader().fail(`at most ${MAX_FAULTS} faults at a time`)
    this.#active.add(active)
    return { [Symbol.dispose]: () => void this.#active.delete(active) }
  }

  clear(): void {
    this.#active.clear()
  }

  /** Draws what happens to one request, and counts it. */
  strike(operation: R2Operation, key: string, partNumber: number | undefined): R2Harm | undefined {
    const hits = [...this.#active].filter((active) => this.#hits(active, operation, key, partNumber))
    if (hits.length === 0) return undefined
    const last = <K extends keyof R2Fault>(name: K): R2Fault[K] =>
      hits.findLast(({ fault }) => fault[name] !== undefined)?.fault[name]
    return {
      latency: hits.reduce((sum, { latency }) => sum + latency, 0),
      status: last('status'),
      when: hits.findLast(({ fault }) => fault.status !== undefined)?.fault.when ?? 'before',
      cut: last('cut'),
      bytesPerSecond: last('bytesPerSecond'),
    }
  }

  #hits(active: ActiveFault, operation: R2Operation, key: string, partNumber: number | undefined): boolean {
    const { fault } = active
    if (fault.operation !== undefined && ![fault.operation].flat().includes(operation)) return false
    if (fault.prefix !== undefined && !key.startsWith(fault.prefix)) return false
    if (fault.partNumber !== undefined && fault.partNumber !== partNumber) return false
    active.seen += 1
    if (active.seen <= (fault.skip ?? 0)) return false
    if (fault.probability !== undefined && this.#draw() >= fault.probability) return false
    active.hits += 1
    if (fault.count !== undefined && active.hits >= fault.count) this.#active.delete(active)
    return true
  }

  // mulberry32: small, and good enough to decide which request fails.
  #draw(): number {
    this.#random = (this.#random + 0x6d2b79f5) | 0
    let t = Math.imul(this.#random ^ (this.#random >>> 15), 1 | this.#random)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

function reader(): OptionReader {
  return new OptionReader('fault', (message) => new TestkitError('TESTKIT_ERR_OPTIONS', message))
}

/** Validates a fault. @returns its latency in ms */
function checkFault(fault: R2Fault): number {
  const options = reader()
  options.known(fault, FIELDS)
  options.number('probability', fault.probability, 1, { min: 0, max: 1 })
  options.integer('partNumber', fault.partNumber, 1, { min: 1, max: 10_000 })
  options.integer('skip', fault.skip, 0)
  options.integer('count', fault.count, 1, { min: 1 })
  options.integer('bytesPerSecond', fault.bytesPerSecond, 1, { min: 1 })
  options.string('prefix', fault.prefix, '')
  options.oneOf('when', fault.when, 'before', ['before', 'after'])
  if (fault.status !== undefined && ![429, 500, 503].includes(fault.status))
    options.fail('status must be 429, 500 or 503')
  if (typeof fault.cut === 'number') options.integer('cut', fault.cut, 0, { min: 0 })
  else options.oneOf('cut', fault.cut, 'before', ['before', 'after'])
  const { latency, status, cut, bytesPerSecond } = fault
  if ([latency, status, cut, bytesPerSecond].every((harm) => harm === undefined))
    options.fail('a fault needs latency, status, cut or bytesPerSecond')
  return options.duration('latency', latency, 0)
}
