import { createHash, randomBytes } from 'node:crypto'
import type { Duration } from '@cays/core/duration'
import { OptionReader } from '@cays/core/options'
import { type SessionData, Store } from 'express-session'
import type { Cache } from './cache.ts'
import { CacheError, CacheUsageError } from './errors.ts'
import type { Reach } from './fleet.ts'

/** Whose sessions they are, and how long they live. */
export interface SessionStoreOptions {
  /** Whose session it is, once somebody has signed in: what `revokeUser` is called with. */
  readonly user?: ((session: SessionData) => string | number | undefined) | undefined
  /** How long a session without an expiry of its own (`cookie.maxAge`) lives after its last use. @default '1d' */
  readonly idle?: Duration | undefined
  /** How long a session lives at all, however much it is used. @default '30d' */
  readonly lifetime?: Duration | undefined
}

/** Sessions of express-session in a cache, and their end. See `sessionStore`. */
export interface SessionStore extends Store {
  /** Ends one session, for good. */
  revoke(sessionId: string): Promise<Reach>
  /** Ends all sessions of a user, for good: after a change of password, from "sign out everywhere". */
  revokeUser(user: string | number): Promise<Reach>
  /** Ends all sessions of this store. */
  revokeAll(): Promise<Reach>
}

/** What is stored of a session under its own key. */
interface Kept {
  readonly stamp: string
  readonly session: SessionData
}

/** What a session in use was loaded with. */
interface Loaded {
  readonly stamp: string
  readonly user: string | number | undefined
}

/**
 * A store for express-session with sessions that can be ended: reads are memory hits, and a session that was
 * revoked is gone in this process at once and in all others `sync.maxStaleness` later.
 *
 * - A revoked session stays revoked: a request that was under way when it ended cannot write it back. Each
 *   session has a stamp that is written when it begins, or when its user changes, and never again. What carries
 *   another stamp, or none, is no session.
 * - Nothing that Redis lost comes back: after a restart or a failover of Redis everybody has to sign in again.
 * - While Redis cannot be asked, a session that is not in memory is an error of `CACHE_ERR_REDIS`, not a visitor
 *   who is signed out; and a session that cannot be stored is an error, too. One that is larger than
 *   `l2.maxEntryBytes` is an error of `CACHE_ERR_TOO_LARGE`, and what it was before still stands.
 * - Ids are secrets and are stored as SHA-256. Values keep their types (`Date`, `Map`).
 *
 * ```ts
 * const store = sessionStore(cache, { user: (session) => session.userId })
 * app.use(session({ store, secret, resave: false, saveUninitialized: false }))
 * await store.revokeUser(42)
 * ```
 */
export function sessionStore(cache: Cache, options: SessionStoreOptions = {}): SessionStore {
  const read = new OptionReader('sessionStore', (message) => new CacheUsageError('CACHE_ERR_OPTION', message))
  read.known(options, ['user', 'idle', 'lifetime'])
  const range = { min: 1_000, max: 10 * 365 * 86_400_000 }
  return new CachedSessions(cache, {
    user: read.function('user', options.user) ?? (() => undefined),
    idle: read.duration('idle', options.idle, 86_400_000, range),
    lifetime: read.duration('lifetime', options.lifetime, 30 * 86_400_000, range),
  })
}

/** All sessions of a store carry it. */
const ALL = 'sessions'
/** A session's expiry is written again when it would move by more than this share of the time it has. */
const WORTH_A_WRITE = 0.1

type Done = (error?: unknown) => void

interface Settings {
  readonly user: (session: SessionData) => string | number | undefined
  readonly idle: number
  readonly lifetime: number
}

class CachedSessions extends Store implements SessionStore {
  readonly #cache: Cache
  readonly #settings: Settings
  /** By the object that is handed out: the data first, and then the request's session made of it. */
  readonly #loaded = new WeakMap<object, Loaded>()

  constructor(cache: Cache, settings: Settings) {
    super()
    this.#cache = cache
    this.#settings = settings
  }

  override get(sessionId: string, done: (error: unknown, session?: SessionData | null) => void): void {
    this.#read(sessionId).then((session) => done(undefined, session ?? null), done)
  }

  override createSession(request: Parameters<Store['createSession']>[0], data: SessionData) {
    const loaded = this.#loaded.get(data)
    const session = super.createSession(request, data)
    if (loaded) this.#loaded.set(session, loaded)
    return session
  }

  override set(sessionId: string, session: SessionData, done?: Done): void {
    this.#write(sessionId, session).then(() => done?.(), done)
  }

  override touch(sessionId: string, session: SessionData, done?: Done): void {
    this.#touch(sessionId, session).then(() => done?.(), done)
  }

  override destroy(sessionId: string, done?: Done): void {
    this.revoke(sessionId).then((reach) => done?.(reach === 'queued' ? away('ended') : undefined), done)
  }

  override clear(done?: Done): void {
    this.revokeAll().then((reach) => done?.(reach === 'queued' ? away('ended') : undefined), done)
  }

  revoke(sessionId: string): Promise<Reach> {
    return this.#cache.invalidate(Object.values(keysOf(sessionId)))
  }

  revokeUser(user: string | number): Promise<Reach> {
    return this.#cache.invalidateTags(tagOf(user))
  }

  revokeAll(): Promise<Reach> {
    return this.#cache.invalidateTags(ALL)
  }

  async #read(sessionId: string): Promise<SessionData | undefined> {
    const { stamp, session, expiry } = keysOf(sessionId)
    const found = await this.#cache.getMany([stamp, session, expiry])
    const kept = found.get(session) as Kept | undefined
    const expires = found.get(expiry) as number | undefined
    if (kept && expires !== undefined && found.get(stamp) === kept.stamp) {
      // A copy: requests change their session, and memory hits share one object.
      const data = structuredClone(kept.session)
      if (data.cookie.expires) data.cookie.expires = new Date(expires)
      this.#loaded.set(data, { stamp: kept.stamp, user: this.#settings.user(data) })
      return data
    }
    if (found.size < 3 && this.#cache.health().status === 'degraded') throw away('read')
    return undefined
  }

  async #write(sessionId: string, session: SessionData): Promise<void> {
    const user = this.#settings.user(session)
    const before = this.#loaded.get(session)
    const { lifetime } = this.#settings
    const keys = keysOf(sessionId)
    let { stamp } = before ?? {}
    if (stamp === undefined || before?.user !== user) {
      stamp = randomBytes(15).toString('base64url')
      const tags = user === undefined ? [ALL] : [ALL, tagOf(user)]
      stored(await this.#cache.set(keys.stamp, stamp, { ttl: lifetime, jitter: 0, tags }))
      this.#loaded.set(session, { stamp, user })
    }
    const kept: Kept = { stamp, session: dataOf(session) }
    stored(await this.#cache.set(keys.session, kept, { ttl: lifetime, jitter: 0, mustFit: true }))
    await this.#touch(sessionId, session)
  }

  /** Only the expiry: a request that changed nothing must not write back what another one has changed since. */
  async #touch(sessionId: string, session: SessionData): Promise<void> {
    const ttl = this.#ttlOf(session)
    const { expiry } = keysOf(sessionId)
    const known = this.#cache.peek<number>(expiry)
    const expires = Date.now() + ttl
    if (known !== undefined && Math.abs(expires - known) < ttl * WORTH_A_WRITE) return
    stored(await this.#cache.set(expiry, expires, { ttl, jitter: 0 }))
  }

  #ttlOf({ cookie }: SessionData): number {
    const left = cookie.expires ? new Date(cookie.expires).getTime() - Date.now() : this.#settings.idle
    return Math.max(1, Math.ceil(left))
  }
}

function keysOf(sessionId: string): {
  readonly stamp: string
  readonly session: string
  readonly expiry: string
} {
  const id = createHash('sha256').update(sessionId).digest('base64url')
  return { stamp: `session:${id}:stamp`, session: `session:${id}`, expiry: `session:${id}:expiry` }
}

function tagOf(user: string | number): string {
  return `${ALL}:${user}`
}

/** The session's own fields, as plain data of their types. */
function dataOf(session: SessionData): SessionData {
  const { cookie, ...fields } = session as SessionData & { readonly cookie: { toJSON?(): unknown } }
  const plain = typeof cookie.toJSON === 'function' ? cookie.toJSON() : cookie
  return structuredClone({ ...fields, cookie: plain }) as SessionData
}

function stored(reach: Reach): void {
  if (reach === 'queued') throw away('stored')
}

function away(what: string): CacheError {
  return new CacheError('CACHE_ERR_REDIS', `the session could not be ${what}: redis does not answer`)
}
