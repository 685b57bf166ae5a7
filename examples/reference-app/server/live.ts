import type { Server } from 'node:http'
import { createRealtime, defineContract, unchecked } from '@cays/realtime'
import type { Redis } from 'ioredis'
import type { Logger } from 'pino'
import type { RealtimeToken } from '../contract/account.ts'
import type { AccountEvents } from '../contract/live.ts'
import { tokenSigner } from './auth/signed-token.ts'
import type { Config } from './config.ts'

/** How long a token may be used; a client asks for a new one whenever it connects. */
const TOKEN_LIFETIME = 60_000
/** How long a socket lives on one token before it must show a new one. */
const IDENTITY_LIFETIME = 15 * 60_000

/** Everything that reaches browsers without being asked for. */
export interface Live {
  attach(server: Server): void
  issueToken(accountId: string): RealtimeToken
  /**
   * Tells all open pages of an account. Call it after the commit: what it tells is true by then. A message
   * that cannot be sent is no error of the request that caused it; pages reload what they show when they
   * come back.
   */
  toAccount<Name extends keyof AccountEvents & string>(
    accountId: string,
    event: Name,
    payload: AccountEvents[Name],
  ): void
  /** Ends the sockets of an account on every node; a page that is still signed in opens a new one. */
  disconnect(accountId: string): Promise<void>
  health(): { readonly sockets: number; readonly rooms: number; readonly redis: boolean }
  drain(over: number): Promise<void>
  close(): Promise<void>
}

export const liveContract = defineContract({
  rooms: {},
  user: {
    events: {
      'application-received': unchecked<AccountEvents['application-received']>(),
      'application-moved': unchecked<AccountEvents['application-moved']>(),
      'application-status': unchecked<AccountEvents['application-status']>(),
      notification: unchecked<AccountEvents['notification']>(),
    },
    history: { size: 100, ttl: '10m' },
  },
})

export function createLive(config: Config, redis: Redis | undefined, log: Logger): Live {
  const tokens = tokenSigner(config.secret, 'socket')
  const realtime = createRealtime({
    contract: liveContract,
    ...(redis ? { redis } : {}),
    prefix: 'harbour-rt',
    origins: config.origins,
    authenticate: ({ token }) => {
      const userId = tokens.verify(token, Date.now())
      return userId === undefined ? null : { userId, expiresAt: Date.now() + IDENTITY_LIFETIME }
    },
    authorize: {},
  })
  realtime.on('failed', ({ where, error }) => log.error({ err: error, where }, 'a socket rule failed'))
  return {
    attach(server) {
      realtime.attach(server, { path: '/rt' })
    },
    issueToken(accountId) {
      const expiresAt = Date.now() + TOKEN_LIFETIME
      return { token: tokens.sign(accountId, expiresAt), expiresAt: new Date(expiresAt).toISOString() }
    },
    toAccount(accountId, event, payload) {
      realtime
        .user(accountId)
        .publish(event, payload as never)
        .catch((error: unknown) => log.warn({ err: error, event }, 'a live message could not be sent'))
    },
    async disconnect(accountId) {
      await realtime.user(accountId).disconnect({ reason: 'session ended' })
    },
    health() {
      const { connections, rooms, status } = realtime.health()
      return { sockets: connections, rooms, redis: status !== 'degraded' }
    },
    drain: (over) => realtime.drain({ over }),
    close: () => realtime.close(),
  }
}
