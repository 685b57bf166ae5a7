/** What one error code means: the sentence a reader finds in `docs/errors.md`, and whether trying again can help. */
export interface ErrorCause {
  /** One or two sentences: what happened, then what to do about it. */
  readonly meaning: string
  /** True when the same call may succeed later with nothing changed. */
  readonly retryable: boolean
}

/** All codes of one package, keyed by code. `docs/errors.md` is generated from these tables. */
export type ErrorTable = Readonly<Record<string, ErrorCause>>

/** What an error may carry beside its code and message. */
export interface CaysErrorOptions {
  /** What was caught and led to this error. */
  readonly cause?: unknown
  /** Overrides the table: the rare case in which one code is retryable only sometimes. */
  readonly retryable?: boolean
}

// A process that both imports and requires a package holds two copies of each class. Every error
// therefore carries the ids of its classes under a key that all copies share, and `instanceof` asks for
// the id. `hasInstance` is inherited, so each class must ask for its own id, not for the base's.
const BRAND: unique symbol = Symbol.for('cays.error') as never

/**
 * Base of every error a Cays package throws.
 *
 * One class stands for one reaction of the caller, one `code` for one cause. Branch on `code`: it is stable
 * across minor versions, messages are not. Messages never contain values, tokens, SQL parameters or keys.
 *
 * A subclass declares `static override readonly id = '<package>.<Class>'`; `instanceof` then holds across
 * duplicate copies of the package, across ESM and CJS.
 */
export class CaysError<Code extends string = string> extends Error {
  static readonly id: string = 'cays.CaysError'

  /** What happened; the value to branch on. */
  readonly code: Code
  /** True when the same call may succeed later with nothing changed. */
  readonly retryable: boolean

  constructor(code: Code, message: string, options: CaysErrorOptions = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined)
    this.code = code
    this.retryable = options.retryable ?? false
    Object.defineProperty(this, 'name', { value: new.target.name, configurable: true, writable: true })
    Object.defineProperty(this, BRAND, { value: idsOf(new.target) })
  }

  /** Asks for the id of the class, so that copies of one package recognize each other's errors. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    if (typeof value !== 'object' || value === null) return false
    const ids = (value as { [BRAND]?: unknown })[BRAND]
    // biome-ignore lint/complexity/noThisInStatic: the id asked for is that of the class on the right of `instanceof`
    return Array.isArray(ids) && ids.includes(this.id)
  }
}

function idsOf(target: unknown): readonly string[] {
  const ids: string[] = []
  for (
    let at = target;
    typeof at === 'function' && at !== Function.prototype;
    at = Object.getPrototypeOf(at)
  ) {
    const id: unknown = (at as { id?: unknown }).id
    if (typeof id === 'string' && !ids.includes(id)) ids.push(id)
  }
  return ids
}

/** The message of anything that was thrown, for logs and traces; never throws itself. */
export function messageOf(thrown: unknown): string {
  if (thrown instanceof Error) return thrown.message
  try {
    return String(thrown)
  } catch {
    return 'a value that cannot be shown'
  }
}
