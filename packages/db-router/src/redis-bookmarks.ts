import type { Duration } from '@cays/core/duration'
import { messageOf } from '@cays/core/error'
import { redisScript, type ScriptClient } from '@cays/core/redis-script'
import { TimeLimit } from '@cays/core/time-limit'
import { rankBookmark } from './bookmark.ts'
import { UsageError } from './errors.ts'
import type { Router } from './router.ts'
import type { SessionHandle } from './sessions.ts'
import { optionReader } from './settings.ts'

/** What {@link redisBookmarks} takes. */
export interface RedisBookmarksOptions {
  /** Needs the option `bookmark`, with the same secret on every node. */
  readonly db: Pick<Router, 'session'>
  /** A client of ioredis, `Redis` or `Cluster`. */
  readonly redis: ScriptClient
  /** First part of every key. @default 'cays:bookmark' */
  readonly prefix?: string
  /** How long Redis keeps a bookmark: not shorter than the router's `bookmark.ttl`. @default '30s' */
  readonly ttl?: Duration
  /** How long Redis may take to answer before the session goes on without it. @default 100 */
  readonly timeout?: Duration
  /** Called when Redis did not answer. @default the first time a warning of the process */
  readonly failed?: (error: unknown) => void
}

/** Sessions by who they are of; see {@link redisBookmarks}. */
export interface RedisBookmarks {
  /**
   * Runs `work` as a session of `id`, such as a user: it sees all that sessions of that `id` wrote before, on whichever
   * node, and its own writes are there for the next when it ends.
   */
  session<T>(id: string, work: (session: SessionHandle) => Promise<T>): Promise<T>
}

// The furthest position of each database system, and the latest bookmark without one. Whichever node comes last, what
// stays is the same, and no more than that is kept. Each value begins with its rank, so that texts compare.
const KEEP = redisScript(`local known = redis.call('HGET', KEYS[1], ARGV[1])
if not known or known < ARGV[2] then redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end
return redis.call('PEXPIRE', KEYS[1], ARGV[3])`)

const FIND = redisScript(`return redis.call('HVALS', KEYS[1])`)

/**
 * Carries bookmarks in Redis, for users who come without a cookie or a header of theirs: over several devices, sockets
 * or services.
 *
 * Without Redis no read is wrong: a session that could not ask it sees all that was acknowledged when it began, at the
 * price of a question to the primary. A write of which Redis could not be told, or that Redis has lost, may be missed by
 * the next session of the same `id` on another node for as long as replicas lag.
 *
 * @example
 * const users = redisBookmarks({ db, redis: new Redis() })
 * await users.session('user 7', () => db.query('select * from jobs'))
 */
export function redisBookmarks(options: RedisBookmarksOptions): RedisBookmarks {
  const read = optionReader('redisBookmarks')
  read.known(options, ['db', 'redis', 'prefix', 'ttl', 'timeout', 'failed'])
  const db = read.required('db', options.db)
  const redis = read.required('redis', options.redis)
  const prefix = read.string('prefix', options.prefix, 'cays:bookmark')
  const ttl = read.duration('ttl', options.ttl, 30_000, { min: 1 })
  const timeout = read.duration('timeout', options.timeout, 100, { min: 1 })
  const failed = read.function('failed', options.failed) ?? warnOnce()

  const limit = new TimeLimit(timeout, () => new Error(`Redis did not answer within ${timeout} ms`))

  const find = async (key: string): Promise<readonly string[]> => {
    try {
      const found = (await limit.race(FIND.run(redis, [key]))) as readonly string[]
      return found.map((value) => value.slice(value.indexOf(' ') + 1))
    } catch (error) {
      failed(error)
      return ['latest']
    }
  }

  const keep = async (key: string, session: SessionHandle): Promise<void> => {
    try {
      await session.settle()
      const bookmark = session.bookmark()
      const { field, rank } = rankBookmark(bookmark)
      await limit.race(KEEP.run(redis, [key], [field, `${rank} ${bookmark}`, ttl]))
    } catch (error) {
      // What was written stays written, whether Redis hears of it or not.
      failed(error)
    }
  }

  return {
    async session(id, work) {
      if (typeof id !== 'string' || id === '') {
        throw new UsageError('DB_ERR_USAGE', 'session: pass whose session it is as a text')
      }
      const key = `${prefix}:${id}`
      return await db.session({ from: await find(key) }, async (session) => {
        try {
          return await work(session)
        } finally {
          if (session.wrote) await keep(key, session)
        }
      })
    },
  }
}

function warnOnce(): (error: unknown) => void {
  let warned = false
  return (error) => {
    if (warned) return
    warned = true
    process.emitWarning(`bookmarks are not carried while Redis does not answer: ${messageOf(error)}`, {
      type: 'CaysBookmarkWarning',
    })
  }
}
