import { redisScript } from '@cays/core/redis-script'
import type { Redis } from 'ioredis'
import { LRUCache } from 'lru-cache'
import { HttpProblem } from '../http/problem.ts'
import type { RedisGate } from '../redis-gate.ts'
import { SESSION_LIFETIME, SESSIONS_PER_ACCOUNT, type Session, type Sessions } from './sessions.ts'
import { newToken, tokenHash } from './token.ts'

/** For how long a session seen before is believed while Redis cannot be asked. */
const OUTAGE_GRACE = 10 * 60_000
/** `lastSeenAt` is written at most this often. */
const SEEN_EVERY = 60_000

type StoredSession = Omit<Session, 'lastSeenAt'>

// One key per session and one list per account, changed together so that neither is left without the other.
const CREATE = redisScript(`
redis.call('hset', KEYS[1], 'session', ARGV[1], 'seen', ARGV[2])
redis.call('pexpire', KEYS[1], ARGV[3])
redis.call('zadd', KEYS[2], ARGV[2], ARGV[4] .. ' ' .. KEYS[1])
redis.call('pexpire', KEYS[2], ARGV[3])
local surplus = redis.call('zrange', KEYS[2], 0, -1 - tonumber(ARGV[5]))
for _, entry in ipairs(surplus) do
  redis.call('del', string.sub(entry, string.find(entry, ' ', 1, true) + 1))
  redis.call('zrem', KEYS[2], entry)
end
return #surplus`)

// Only where the session still is: touching a revoked one must not bring back half of it.
const TOUCH = redisScript(`
if redis.call('exists', KEYS[1]) == 0 then return 0 end
redis.call('hset', KEYS[1], 'seen', ARGV[1])
return redis.call('pexpire', KEYS[1], ARGV[2])`)

const REVOKE = redisScript(`
for _, entry in ipairs(redis.call('zrange', KEYS[1], 0, -1)) do
  local space = string.find(entry, ' ', 1, true)
  if string.sub(entry, 1, space - 1) == ARGV[1] then
    redis.call('zrem', KEYS[1], entry)
    return redis.call('del', string.sub(entry, space + 1))
  end
end
return 0`)

/**
 * Sessions that every node sees and any node can revoke. While Redis does not answer, sessions this node saw
 * in the last ten minutes go on (a revocation cannot reach it either), and nobody can sign in or out.
 */
export function redisSessions(redis: Redis, gate: RedisGate): Sessions {
  const seenHere = new LRUCache<string, Session>({ max: 20_000, ttl: OUTAGE_GRACE })
  const ask = async <T>(send: () => Promise<T>): Promise<T> => {
    try {
      return await gate.ask(send)
    } catch (cause) {
      throw new HttpProblem(
        'unavailable',
        {
          retryAfter: 2,
          detail: 'We cannot look up who is signed in right now. Looking at jobs works; nothing is lost.',
        },
        { cause },
      )
    }
  }
  return {
    async create(account, userAgent) {
      const token = newToken()
      const now = Date.now()
      const stored: StoredSession = { id: newToken().slice(0, 16), account, createdAt: now, userAgent }
      await ask(() =>
        CREATE.run(
          redis,
          [sessionKey(token), accountKey(account.id)],
          [JSON.stringify(stored), now, SESSION_LIFETIME, stored.id, SESSIONS_PER_ACCOUNT],
        ),
      )
      return { token, session: { ...stored, lastSeenAt: now } }
    },

    async find(token) {
      const key = sessionKey(token)
      let session: Session | undefined
      try {
        session = sessionOf(await ask(() => redis.hmget(key, 'session', 'seen')))
      } catch (error) {
        const known = seenHere.get(key)
        if (known) return known
        throw error
      }
      if (!session) {
        seenHere.delete(key)
        return undefined
      }
      seenHere.set(key, session)
      if (Date.now() - session.lastSeenAt > SEEN_EVERY) {
        TOUCH.run(redis, [key], [Date.now(), SESSION_LIFETIME]).catch(() => {})
      }
      return session
    },

    async list(accountId) {
      const entries = await ask(() => redis.zrevrange(accountKey(accountId), 0, SESSIONS_PER_ACCOUNT - 1))
      const keys = entries.map((entry) => entry.slice(entry.indexOf(' ') + 1))
      const stored = await ask(() => Promise.all(keys.map((key) => redis.hmget(key, 'session', 'seen'))))
      return stored.flatMap((fields) => sessionOf(fields) ?? [])
    },

    async revoke(accountId, id) {
      return (await ask(() => REVOKE.run(redis, [accountKey(accountId)], [id]))) === 1
    },
  }
}

function sessionKey(token: string): string {
  return `harbour:session:${tokenHash(token)}`
}

function accountKey(accountId: string): string {
  return `harbour:sessions:${accountId}`
}

function sessionOf([stored, seen]: readonly (string | null)[]): Session | undefined {
  if (!stored) return undefined
  return { ...(JSON.parse(stored) as StoredSession), lastSeenAt: Number(seen) }
}
