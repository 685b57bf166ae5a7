import type { Statement } from './classify.ts'
import type { Settings } from './settings.ts'

/** How long what the database says about its functions is believed, in milliseconds. */
const BELIEVED = 300_000
/** An unknown name makes the catalog read again, at most this often, in milliseconds. */
const PATIENCE = 5_000

export const CATALOG_QUERY = `select p.proname as name, bool_or(p.provolatile = 'v' or p.prokind = 'p') as volatile,
  bool_or((p.provolatile = 'v' or p.prokind = 'p') and n.nspname <> 'pg_catalog') as own
  from pg_proc p join pg_namespace n on n.oid = p.pronamespace
  where n.nspname not in ('information_schema', 'pg_toast') group by p.proname`

export interface CatalogRow {
  readonly name: string
  readonly volatile: boolean
  /** One that is volatile is not Postgres' own, though it may share its name. */
  readonly own: boolean
}

// Declared stable, yet they describe the connection or the server, or take a transaction id.
const NEVER =
  /^(?:pg_|txid_|current_setting|lo_|dblink|has_|ts_stat|query_to|cursor_to|table_to|schema_to|database_to)/

/**
 * Which functions of the database only read, by their declared volatility. Until it is loaded, and for names
 * it does not hold, the answer is no.
 */
export class FunctionCatalog {
  readonly #functions: Settings['functions']
  readonly #load: () => Promise<readonly CatalogRow[]>
  #harmless: ReadonlySet<string> = new Set()
  #volatile: ReadonlySet<string> = new Set()
  #loadedAt = Number.NEGATIVE_INFINITY
  #askedAt = Number.NEGATIVE_INFINITY
  #loading: Promise<void> | undefined

  constructor(functions: Settings['functions'], load: () => Promise<readonly CatalogRow[]>) {
    this.#functions = functions
    this.#load = load
  }

  /** True when the statement may run on a replica: it reads, and no function it calls is known or feared to write. */
  isRead(statement: Statement, now: number): boolean {
    if (statement.kind !== 'read') return false
    return statement.calls.length === 0 || this.#harmlessCalls(statement, now)
  }

  #harmlessCalls({ calls, unknown }: Statement, now: number): boolean {
    if (now - this.#loadedAt > BELIEVED) this.refresh(now)
    for (const name of calls) {
      if (this.#functions.primary.has(name)) return false
      if (this.#volatile.has(name) && !this.#functions.replica.has(name)) return false
    }
    for (const name of unknown) {
      if (this.#harmless.has(name) || this.#functions.replica.has(name)) continue
      this.refresh(now)
      return false
    }
    return true
  }

  /** Loads in the background, unless it was tried a moment ago. */
  refresh(now: number = performance.now()): void {
    if (this.#loading || now - this.#askedAt < PATIENCE) return
    this.#askedAt = now
    this.#loading = this.#refresh().finally(() => {
      this.#loading = undefined
    })
  }

  /** Resolves when no load is under way. */
  async settled(): Promise<void> {
    await this.#loading
  }

  async #refresh(): Promise<void> {
    try {
      const rows = await this.#load()
      this.#volatile = new Set(rows.filter((row) => row.own).map((row) => row.name))
      this.#harmless = new Set(
        rows.filter((row) => !row.volatile && !NEVER.test(row.name)).map((row) => row.name),
      )
      this.#loadedAt = performance.now()
    } catch {
      // Nobody to ask now; the next unknown name asks again.
    }
  }
}
