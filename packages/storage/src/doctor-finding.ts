import { StorageError } from './errors.ts'

/** What one check has found, in words without secrets. */
export interface Finding {
  readonly check: string
  readonly outcome: 'ok' | 'warning' | 'failure' | 'unknown'
  readonly detail: string
  /** What to do about it. */
  readonly advice?: string | undefined
}

/** A check that breaks off is a finding too. */
export async function guarded(check: string, work: () => Promise<Finding>): Promise<Finding> {
  try {
    return await work()
  } catch (error) {
    return { check, outcome: 'failure', detail: wordsOf(error), advice: adviceFor(error) }
  }
}

/** The provider's own name for what went wrong. */
export function causeOf(error: unknown): string | undefined {
  const { cause } = error as { readonly cause?: { readonly name?: unknown; readonly Code?: unknown } }
  const name = cause?.Code ?? cause?.name
  return typeof name === 'string' ? name : undefined
}

export function wordsOf(error: unknown): string {
  const name = causeOf(error)
  const text = error instanceof StorageError ? error.message : 'the check broke off'
  return name ? `${text} (${name})` : text
}

const ADVICE: Readonly<Record<string, string>> = {
  InvalidAccessKeyId: 'The key id is not known here.',
  SignatureDoesNotMatch: 'The secret does not belong to the key id.',
  Unauthorized: 'The key id is not known here, or may not do this.',
  AccessDenied: 'Give the token "Object Read & Write" on this bucket.',
  NoSuchBucket: 'There is no bucket of that name here.',
}

export function adviceFor(error: unknown): string | undefined {
  return ADVICE[causeOf(error) ?? '']
}
