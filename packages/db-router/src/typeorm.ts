import type { PoolClient } from 'pg'
import type { Router } from './router.ts'

/** What TypeORM uses of a pool. */
export interface TypeormPool {
  /** Calls back with a client, and what gives it back. */
  connect(
    callback: (
      error: Error | undefined,
      client: PoolClient | undefined,
      release: (error?: unknown) => void,
    ) => void,
  ): void
  /** Errors of idle connections. */
  on(event: 'error', listener: (error: Error) => void): unknown
  /** Takes the listeners away and calls back. */
  end(callback: (error?: Error) => void): void
}

/** What TypeORM uses of the `pg` module. */
export interface TypeormDriver {
  readonly Pool: new () => TypeormPool
}

/**
 * For the `driver` option of a TypeORM `DataSource` of type `postgres`: its connections are the router's, so its
 * reads scale over replicas and its transactions keep to one server. Leave out `replication`, `host` and `url`.
 *
 * `dataSource.destroy()` leaves the router open: whoever created it closes it.
 *
 * @example
 * ```ts
 * const { DATABASE_URL = '' } = process.env
 * const db = createRouter({ primary: DATABASE_URL })
 * const dataSource = new DataSource({ type: 'postgres', driver: typeormDriver(db), entities: [] })
 * ```
 */
export function typeormDriver(router: Router): TypeormDriver {
  return {
    Pool: class implements TypeormPool {
      readonly #listeners: ((error: Error) => void)[] = []

      connect(callback: Parameters<TypeormPool['connect']>[0]): void {
        router.connect(callback)
      }

      on(event: 'error', listener: (error: Error) => void): this {
        router.on(event, listener)
        this.#listeners.push(listener)
        return this
      }

      end(callback: (error?: Error) => void): void {
        for (const listener of this.#listeners.splice(0)) router.removeListener('error', listener)
        callback()
      }
    },
  }
}
