import { type Duration, MAX_TIMER, parseDuration } from './duration.ts'

/** Both ends are allowed values. */
export interface NumberRange {
  readonly min?: number
  readonly max?: number
}

/**
 * Reads user options once, at construction, and turns the first mistake into the package's own error.
 *
 * `undefined` always means "use the default"; `null` is never a value. Messages name the option and what it
 * accepts, never what was given: an option may be a secret.
 */
export class OptionReader {
  readonly #subject: string
  readonly #error: (message: string) => Error

  /** `subject` is what the user called, e.g. `createCache`; `error` builds the package's coded error. */
  constructor(subject: string, error: (message: string) => Error) {
    this.#subject = subject
    this.#error = error
  }

  /** Throws the package's error for a mistake that no other method knows. */
  fail(message: string): never {
    throw this.#error(`${this.#subject}: ${message}`)
  }

  /** Refuses anything but a plain object whose names are all known, and suggests the nearest name. */
  known<T extends object>(options: T, names: readonly (keyof T & string)[], path = ''): void {
    if (typeof options !== 'object' || options === null || Array.isArray(options)) {
      this.fail(`${path || 'options'} must be an object`)
    }
    for (const name of Object.keys(options)) {
      if ((names as readonly string[]).includes(name)) continue
      const near = nearest(name, names)
      this.fail(
        `unknown option ${JSON.stringify(prefixed(path, name.slice(0, 60)))}` +
          (near ? `, did you mean ${JSON.stringify(prefixed(path, near))}?` : ''),
      )
    }
  }

  /** Milliseconds of a duration option. */
  duration(name: string, value: Duration | undefined, fallback: number, range: NumberRange = {}): number {
    if (value === undefined) return fallback
    const { min = 0, max = MAX_TIMER } = range
    const milliseconds = parseDuration(value)
    if (milliseconds === undefined || milliseconds < min || milliseconds > max) {
      this.fail(`${name} must be a duration such as 250, '5s' or '2m', between ${min} ms and ${max} ms`)
    }
    return milliseconds
  }

  /** A whole number in `range`. */
  integer(name: string, value: number | undefined, fallback: number, range: NumberRange = {}): number {
    if (value === undefined) return fallback
    const { min = 0, max = Number.MAX_SAFE_INTEGER } = range
    if (!Number.isSafeInteger(value) || value < min || value > max) {
      this.fail(`${name} must be a whole number between ${min} and ${max}`)
    }
    return value
  }

  /** A number in `range`; never NaN. */
  number(name: string, value: number | undefined, fallback: number, range: NumberRange = {}): number {
    if (value === undefined) return fallback
    const { min = 0, max = Number.MAX_VALUE } = range
    if (typeof value !== 'number' || !(value >= min && value <= max)) {
      this.fail(`${name} must be a number between ${min} and ${max}`)
    }
    return value
  }

  /** True or false, nothing that merely looks like it. */
  boolean(name: string, value: boolean | undefined, fallback: boolean): boolean {
    if (value === undefined) return fallback
    if (typeof value !== 'boolean') this.fail(`${name} must be true or false`)
    return value
  }

  /** A string, which must match `pattern` when one is given. */
  string(name: string, value: string | undefined, fallback: string, pattern?: RegExp): string {
    if (value === undefined) return fallback
    if (typeof value !== 'string') this.fail(`${name} must be a string`)
    if (pattern && !pattern.test(value)) this.fail(`${name} must match ${pattern.source}`)
    return value
  }

  /** One of a few words; the message lists them. */
  oneOf<T extends string>(name: string, value: T | undefined, fallback: T, choices: readonly T[]): T {
    if (value === undefined) return fallback
    if (!choices.includes(value)) {
      this.fail(`${name} must be one of ${choices.map((choice) => `'${choice}'`).join(', ')}`)
    }
    return value
  }

  /** A function or nothing. */
  function<T>(name: string, value: T | undefined): T | undefined {
    if (value !== undefined && typeof value !== 'function') this.fail(`${name} must be a function`)
    return value
  }

  /** The value of an option that has no default. */
  required<T>(name: string, value: T | undefined | null): T {
    if (value === undefined || value === null) this.fail(`${name} is required`)
    return value
  }
}

function prefixed(path: string, name: string): string {
  return path ? `${path}.${name}` : name
}

function nearest(name: string, names: readonly string[]): string | undefined {
  let best: string | undefined
  let bestDistance = 3
  for (const candidate of names) {
    const distance = editDistance(name.toLowerCase().slice(0, 60), candidate.toLowerCase())
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const substitution = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, substitution))
    }
    row = next
  }
  return row[b.length] ?? 0
}
