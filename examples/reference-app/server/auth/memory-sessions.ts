import { LRUCache } from 'lru-cache'
import { SESSION_LIFETIME, SESSIONS_PER_ACCOUNT, type Session, type Sessions } from './sessions.ts'
import { newToken, tokenHash } from './token.ts'

/** For one node without Redis: signing in lasts until the process ends. */
export function memorySessions(): Sessions {
  const sessions = new LRUCache<string, Session>({ max: 50_000, ttl: SESSION_LIFETIME })
  const ofAccount = (accountId: string) =>
    [...sessions.entries()].filter(([, session]) => session.account.id === accountId)
  return {
    async create(account, userAgent) {
      const token = newToken()
      const now = Date.now()
      const session = { id: newToken().slice(0, 16), account, createdAt: now, lastSeenAt: now, userAgent }
      for (const [hash] of ofAccount(account.id).slice(SESSIONS_PER_ACCOUNT - 1)) sessions.delete(hash)
      sessions.set(tokenHash(token), session)
      return { token, session }
    },
    async find(token) {
      const hash = tokenHash(token)
      const session = sessions.get(hash)
      if (!session) return undefined
      const seen = { ...session, lastSeenAt: Date.now() }
      sessions.set(hash, seen)
      return seen
    },
    async list(accountId) {
      return ofAccount(accountId).map(([, session]) => session)
    },
    async revoke(accountId, id) {
      const found = ofAccount(accountId).find(([, session]) => session.id === id)
      return found ? sessions.delete(found[0]) : false
    },
  }
}
