import type { QueryResult } from 'pg'
import type { Statement } from './classify.ts'
import type { Connection } from './connection.ts'
import { Execution, type Pair } from './execution.ts'
import { Failure } from './failure.ts'
import type { FunctionCatalog } from './function-catalog.ts'
import { type HedgedRead, type Hedging, isSuperseded, type Superseded } from './hedged-read.ts'
import type { Paces } from './pace.ts'
import type { Place, Placement, ReadDemand } from './placement.ts'
import type { Request } from './request.ts'
import type { Server } from './server.ts'
import type { Session } from './session.ts'
import type { Settings } from './settings.ts'
import { mayStartAgain } from './start-failure.ts'
import type { StatementCache } from './statement-cache.ts'
import { addressOf, QUERY_CHANNEL } from './telemetry.ts'
import type { Topology } from './topology.ts'

export interface DispatcherParts {
  readonly settings: Settings
  readonly topology: Topology
  readonly placement: Placement
  readonly statements: StatementCache
  readonly catalog: FunctionCatalog
  /** Kept only where it matters how statements ran before. */
  readonly paces: Paces | undefined
}

/** A connection for a transaction, for state, or for a query object. Give it back with `release`. */
export interface Checkout {
  readonly server: Server
  readonly connection: Connection
  readonly release: (destroy: boolean) => void
}

/** Where statements enter: one by one, or with a connection of their own. */
export class Dispatcher {
  readonly #parts: DispatcherParts

  constructor(parts: DispatcherParts) {
    this.#parts = parts
  }

  statement(text: string): Statement {
    return this.#parts.statements.get(text)
  }

  /** True when the statement may run on a replica by its text alone. */
  isRead(statement: Statement): boolean {
    return this.#parts.catalog.isRead(statement, performance.now())
  }

  /** `done` is called when the statement is over, however it ends. */
  run(request: Request, session: Session, done?: () => void): Promise<QueryResult> {
    if (request.hedge && this.#mayRunTwice(request))
      return this.#hedged(request.hedge, request, session, done)
    return this.#once(request, session, done)
  }

  #once(request: Request, session: Session, done?: () => void, pair?: Pair): Promise<QueryResult> {
    const execution = new Execution(this.#parts, request, session, done, pair)
    if (QUERY_CHANNEL.active) return this.#traced(execution, request)
    execution.start()
    return execution.promise
  }

  /** It reads, goes to a replica, and there are others. */
  #mayRunTwice({ text, route, consistency, idempotent }: Request): boolean {
    const { topology, settings } = this.#parts
    if (topology.servers.length < 3) return false
    const safe = text !== undefined && this.isRead(this.statement(text))
    const read =
      route === 'replica' ||
      (safe && route === 'auto' && consistency !== 'strong' && settings.routing !== 'observe')
    return read && (idempotent ?? safe)
  }

  async #hedged(
    hedging: Hedging,
    request: Request,
    session: Session,
    done?: () => void,
  ): Promise<QueryResult> {
    const { placement } = this.#parts
    const { text = '', consistency, maxStaleness, route } = request
    const servers = new Set<Server>()
    let running = 1
    const left = () => {
      if (--running === 0) done?.()
    }
    const start = (given: AbortSignal, place?: Place) => {
      const signal = request.signal ? AbortSignal.any([request.signal, given]) : given
      running++
      return this.#once({ ...request, signal }, session, left, { servers, ...(place ? { place } : {}) })
    }
    const read: HedgedRead = {
      text,
      first: (signal) => start(signal),
      second: async () => {
        const { signal } = request
        const asked = route === 'replica'
        const place = await placement.another(
          {
            consistency,
            maxStaleness,
            session,
            asked,
            signal,
            avoid: servers,
            deadline: undefined,
            certain: false,
          },
          performance.now(),
        )
        return place && ((given) => start(given, place))
      },
    }
    try {
      return await hedging.run(read)
    } finally {
      left()
    }
  }

  async #traced(execution: Execution, request: Request): Promise<QueryResult> {
    const operation = {
      instance: this.#parts.settings.name,
      attributes: { 'db.system.name': 'postgresql' } as Record<string, string | number | boolean>,
      outcome: 'ok',
    }
    const result = await QUERY_CHANNEL.trace<QueryResult | Superseded>(operation, async () => {
      try {
        execution.start()
        return await execution.promise
      } catch (error) {
        operation.outcome = (error as { outcome?: string } | null)?.outcome ?? 'error'
        if (isSuperseded(error)) return error as Superseded
        throw error
      } finally {
        const { attributes } = operation
        const { reason, attempts, server } = execution
        attributes['db.operation.name'] =
          request.text === undefined ? 'OTHER' : this.statement(request.text).command
        attributes['cays.reason'] = reason
        attributes['cays.attempts'] = attempts
        if (server) Object.assign(attributes, addressOf(server), { 'cays.role': server.role })
      }
    })
    if (result instanceof Error) throw result
    return result
  }

  /** A connection to a server that is the primary now. */
  async checkoutPrimary(signal: AbortSignal | undefined): Promise<Checkout> {
    for (let attempts = 1; ; attempts++) {
      const waiting = this.#parts.topology.waitForPrimary(signal)
      const server = waiting instanceof Promise ? await waiting : waiting
      const connection = await server.checkout(signal)
      if (!(connection instanceof Failure)) return checkout(server, connection, undefined)
      await mayStartAgain(connection.error, server, attempts, this.#parts.topology, signal)
    }
  }

  /** A connection to a replica that shows what the session has seen; to the primary when there is none. */
  async checkoutReplica(given: Omit<ReadDemand, 'avoid' | 'deadline' | 'certain'>): Promise<Checkout> {
    const avoid = new Set<Server>()
    const demand: ReadDemand = { ...given, avoid, deadline: undefined, certain: true }
    for (let attempts = 1; ; attempts++) {
      demand.signal?.throwIfAborted()
      const { server, verify, leave } = await this.#parts.placement.read(demand, performance.now())
      const connection = await server.checkout(demand.signal)
      if (connection instanceof Failure) {
        leave?.()
        await mayStartAgain(connection.error, server, attempts, this.#parts.topology, demand.signal)
      } else {
        const found = checkout(server, connection, leave)
        if (!verify || (await server.prove(connection, verify))) return found
        found.release(false)
      }
      avoid.add(server)
    }
  }
}

function checkout(server: Server, connection: Connection, leave: (() => void) | undefined): Checkout {
  let released = false
  return {
    server,
    connection,
    release(destroy) {
      if (released) return
      released = true
      server.pool.release(connection, destroy, performance.now())
      leave?.()
    },
  }
}
