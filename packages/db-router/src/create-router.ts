import type { RouterOptions } from './options.ts'
import { Router } from './router.ts'

/**
 * A `pg.Pool` over a primary and its replicas.
 *
 * Each statement goes where it may run: what is not certainly a read goes to the primary, reads go to a
 * replica that is up and fresh enough. Guarantees, with the default `consistency: 'session'`:
 *
 * - A read sees every write acknowledged before it in the same session, and outside of sessions every write
 *   acknowledged before it in the same process.
 * - Nothing is sent twice unless the first try had no effect. Errors say which it was: `outcome`.
 * - A read is tried on another server when its own dies.
 *
 * It does not guarantee that a session sees what other sessions wrote, nor that acknowledged writes survive
 * the loss of a primary: that is up to synchronous replication.
 *
 * It starts to watch the servers at once; `close()` (or `end()`) stops that.
 *
 * @example
 * ```ts
 * const { DATABASE_URL = '', REPLICA_URL = '' } = process.env
 * const db = createRouter({ primary: DATABASE_URL, replicas: [REPLICA_URL] })
 * await db.query('insert into jobs (title) values ($1)', ['Diver'])
 * const { rows } = await db.query('select * from jobs') // from a replica that has the row
 * ```
 */
export function createRouter(options: RouterOptions): Router {
  return new Router(options)
}
