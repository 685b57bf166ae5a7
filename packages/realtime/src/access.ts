import type { AuthorizeRule, Grant } from './options.ts'

/** What a connection may do in one room. */
export interface Access {
  readonly publish: boolean | readonly string[]
  readonly presence: boolean | 'watch'
  /** Unix milliseconds; Infinity for a right without an end. */
  readonly expiresAt: number
}

type AnyRule = AuthorizeRule<never, never>

/** Asks a rule; `undefined` is a denial. */
export async function askAccess(
  rule: AnyRule | undefined,
  who: unknown,
  params: Readonly<Record<string, string>>,
  room: string,
  signal: AbortSignal,
): Promise<Access | undefined> {
  if (rule === undefined) return undefined
  const answer = rule === true ? true : await rule(who as never, params as never, { room, signal })
  return accessOf(answer)
}

function accessOf(answer: unknown): Access | undefined {
  if (answer === true) return { publish: false, presence: false, expiresAt: Number.POSITIVE_INFINITY }
  if (typeof answer !== 'object' || answer === null) return undefined
  const { subscribe = true, publish = false, presence = false, expiresAt } = answer as Grant
  if (!subscribe) return undefined
  const ends = momentOf(expiresAt)
  return ends > Date.now() ? { publish, presence, expiresAt: ends } : undefined
}

export function mayPublish(access: Access, event: string): boolean {
  return typeof access.publish === 'boolean' ? access.publish : access.publish.includes(event)
}

/** Unix milliseconds of an expiry; Infinity for none. What is not a time has passed. */
export function momentOf(moment: Date | number | undefined): number {
  if (moment === undefined) return Number.POSITIVE_INFINITY
  const time = Number(moment)
  return Number.isNaN(time) ? 0 : time
}
