import type { KnownAccount } from '../domain/accounts.ts'

export interface Session {
  /** Names the session among its account's; not a secret. */
  readonly id: string
  readonly account: KnownAccount
  /** Milliseconds since the epoch. */
  readonly createdAt: number
  readonly lastSeenAt: number
  readonly userAgent: string
}

/**
 * Who is signed in. The token that the browser keeps is random and stored only as a hash: reading the store
 * signs nobody in.
 */
export interface Sessions {
  create(
    account: KnownAccount,
    userAgent: string,
  ): Promise<{ readonly token: string; readonly session: Session }>
  /** `undefined` when the token is unknown, revoked or expired; throws an unavailable problem when nobody can tell. */
  find(token: string): Promise<Session | undefined>
  list(accountId: string): Promise<readonly Session[]>
  /** Ends one session of the account, at once and on every node; false when it has no such session. */
  revoke(accountId: string, id: string): Promise<boolean>
}

export const SESSION_LIFETIME = 30 * 86_400_000
/** An account that signs in more often than this loses its oldest sessions. */
export const SESSIONS_PER_ACCOUNT = 20
