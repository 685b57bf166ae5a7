import type { QueryResult } from 'pg'
import type { Statement } from './classify.ts'
import type { Connection } from './connection.ts'
import { DecisionTrace } from './decision-trace.ts'
import { Execution, type Pair } from './execution.ts'
import { Failure } from './failure.ts'
import type { FunctionCatalog } from './function-catalog.ts'
import type { HedgedRead, Hedging } from './hedged-read.ts'
import type { Position } from './lsn.ts'
import type { Paces } from './pace.ts'
import type { Place, Placement, PlaceReason, ReadDemand } from './placement.ts'
import type { Request } from './request.ts'
import type { Server } from './server.ts'
import type { Session } from './session.ts'
import type { Settings } from './settings.ts'
import { mayStartAgain } from './start-failure.ts'
import type { StatementCache } from './statement-cache.ts'
import { QUERY_CHANNEL } from './telemetry.ts'
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
  readonly reason: PlaceReason
  /** What the server has shown to have replayed, if that was asked for. */
  readonly position: Position | undefined
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
    const trace = this.trace(request)
    if (trace) return this.#traced(execution, trace)
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
            position: undefined,
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

  #traced(execution: Execution, trace: DecisionTrace): Promise<QueryResult> {
    execution.trace = trace
    const run = () => {
      execution.start()
      return execution.promise
    }
    return trace.follow(run, () => execution.attempts)
  }

  /** What to tell of a statement, while somebody listens. `run` does it by itself. */
  trace({ text }: Request): DecisionTrace | undefined {
    if (!QUERY_CHANNEL.active) return undefined
    const command = text === undefined ? 'OTHER' : this.statement(text).command
    return new DecisionTrace(this.#parts.settings.name, command)
  }

  /** A connection to a server that is the primary now. */
  async checkoutPrimary(signal: AbortSignal | undefined, reason: PlaceReason = 'write'): Promise<Checkout> {
    for (let attempts = 1; ; attempts++) {
      const waiting = this.#parts.topology.waitForPrimary(signal)
      const server = waiting instanceof Promise ? await waiting : waiting
      const connection = await server.checkout(signal)
      if (!(connection instanceof Failure))
        return checkout(server, connection, { reason, position: undefined, leave: undefined })
      await mayStartAgain(connection.error, server, attempts, this.#parts.topology, signal)
    }
  }

  /** A connection to a replica that shows what the session has seen; to the primary when there is none. */
  async checkoutReplica(
    given: Omit<ReadDemand, 'avoid' | 'deadline' | 'certain' | 'position'>,
  ): Promise<Checkout> {
    const avoid = new Set<Server>()
    const demand: ReadDemand = { ...given, avoid, deadline: undefined, certain: true, position: undefined }
    for (let attempts = 1; ; attempts++) {
      demand.signal?.throwIfAborted()
      const { server, verify, leave, reason } = await this.#parts.placement.read(demand, performance.now())
      const connection = await server.checkout(demand.signal)
      if (connection instanceof Failure) {
        leave?.()
        await mayStartAgain(connection.error, server, attempts, this.#parts.topology, demand.signal)
      } else {
        const { position } = demand
        const found = checkout(server, connection, { reason, position, leave })
        if (!verify || (await server.prove(connection, verify))) return found
        found.release(false)
      }
      avoid.add(server)
    }
  }
}

function checkout(
  server: Server,
  connection: Connection,
  { reason, position, leave }: Pick<Checkout, 'reason' | 'position'> & Pick<Place, 'leave'>,
): Checkout {
  let released = false
  return {
    server,
    connection,
    reason,
    position,
    release(destroy) {
      if (released) return
      released = true
      server.pool.release(connection, destroy, performance.now())
      leave?.()
    },
  }
}
