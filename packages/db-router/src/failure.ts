import type { Outcome } from './errors.ts'

/**
 * How one try on one server failed.
 *
 * - `acquire`: no connection, so nothing was sent.
 * - `statement`: the server refused it and the connection lives.
 * - `lost`: it was sent and the connection broke before the answer.
 * - `behind`: the replica had not reached the position the read needs.
 */
export type FailureKind = 'acquire' | 'statement' | 'lost' | 'behind'

/** A value, not an exception: the hot path tells it from a result and decides what to do next. */
export class Failure {
  readonly kind: FailureKind
  readonly error: unknown

  constructor(kind: FailureKind, error: unknown) {
    this.kind = kind
    this.error = error
  }
}

/** The SQLSTATE or system code of anything thrown. */
export function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null | undefined)?.code
  return typeof code === 'string' ? code : undefined
}

/** True for an answer of the server, whatever it says; false for a broken connection or a mistake of the driver. */
export function isServerError(error: unknown): boolean {
  return typeof (error as { severity?: unknown } | null | undefined)?.severity === 'string'
}

/** True when the server's answer is also the end of the connection. */
export function isFatal(error: unknown): boolean {
  const severity = (error as { severity?: unknown } | null | undefined)?.severity
  return severity === 'FATAL' || severity === 'PANIC'
}

/** Codes while connecting that say something about this client, not about the server's health. */
export function isRefusal(error: unknown): boolean {
  const code = codeOf(error)
  return code !== undefined && (code.startsWith('28') || code.startsWith('3D') || code.startsWith('42'))
}

export const TOO_MANY_CONNECTIONS = '53300'
export const INVALID_PASSWORD = '28P01'
export const READ_ONLY_TRANSACTION = '25006'

/** What a replica answers to something only a primary can do; there it had no effect. */
const ONLY_ON_PRIMARY = new Set([READ_ONLY_TRANSACTION, '0A000', '55000'])

export function needsPrimary(error: unknown): boolean {
  const code = codeOf(error)
  return code !== undefined && ONLY_ON_PRIMARY.has(code) && !isStalePlan(error)
}

/** A replica cancels reads that block replay, with the code of a serialization failure or a deadlock. */
export function isRecoveryConflict(error: unknown): boolean {
  const code = codeOf(error)
  return code === '40001' || code === '40P01'
}

/** Something is wrong with the server, not with the statement: its disk, its memory, its data. */
export function isServerTrouble(error: unknown): boolean {
  const code = codeOf(error)
  return code !== undefined && /^(?:53|58|XX)/.test(code)
}

/** The statement's plan or name no longer fits the connection; raised before anything runs. */
export function isStalePlan(error: unknown): boolean {
  const code = codeOf(error)
  return (
    code === '26000' ||
    code === '42P05' ||
    (code === '0A000' && (error as { routine?: unknown }).routine === 'RevalidateCachedQuery')
  )
}

/** Adds the outcome to an error of the server, which otherwise goes to the caller as `pg` made it. */
export function withOutcome(error: unknown, outcome: Outcome, host: string | undefined): unknown {
  if (typeof error === 'object' && error !== null && Object.isExtensible(error)) {
    Object.assign(error, { outcome, host })
  }
  return error
}
