import { delay } from '@cays/core/abort'
import { backoff } from '@cays/core/backoff'
import type { PoolClient, QueryResult } from 'pg'
import { mayWrite, type Statement } from './classify.ts'
import { OutcomeUnknownError, RolledBackError, UnavailableError, UsageError } from './errors.ts'
import {
  codeOf,
  Failure,
  isFatal,
  isRecoveryConflict,
  isRefusal,
  isServerError,
  isStalePlan,
  needsPrimary,
  READ_ONLY_TRANSACTION,
  TOO_MANY_CONNECTIONS,
  withOutcome,
} from './failure.ts'
import type { FunctionCatalog } from './function-catalog.ts'
import type { Settings } from './options.ts'
import type { Place, Placement, ReadDemand } from './placement.ts'
import type { Request } from './request.ts'
import type { Server } from './server.ts'
import type { Session } from './session.ts'
import type { StatementCache } from './statement-cache.ts'
import { addressOf, QUERY_CHANNEL } from './telemetry.ts'
import type { Topology } from './topology.ts'

/** Tries of a statement that never started, beyond which waiting has not helped. */
const START_ATTEMPTS = 10

export interface DispatcherParts {
  readonly settings: Settings
  readonly topology: Topology
  readonly placement: Placement
  readonly statements: StatementCache
  readonly catalog: FunctionCatalog
}

interface Trace {
  server: Server | undefined
  reason: string
  attempts: number
}

/**
 * Runs statements outside of transactions: decides where, and after a failure whether, they run again.
 *
 * Invariants:
 * 1. A statement is sent a second time only if the first had no effect: it never started, the server refused
 *    it whole, or it is a read.
 * 2. A write whose answer was lost ends as `OutcomeUnknownError`, unless the caller called it idempotent.
 * 3. Every error that leaves here carries `outcome`.
 */
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
    if (statement.kind !== 'read') return false
    return statement.calls.length === 0 || this.#parts.catalog.harmless(statement.calls, statement.unknown)
  }

  /** `done` is called when the statement is over, however it ends. */
  run(request: Request, session: Session, done?: () => void): Promise<QueryResult> {
    const trace: Trace = { server: undefined, reason: '', attempts: 0 }
    if (!QUERY_CHANNEL.active) return this.#run(request, session, trace, done)
    return this.#traced(request, session, trace, done)
  }

  async #traced(
    request: Request,
    session: Session,
    trace: Trace,
    done: (() => void) | undefined,
  ): Promise<QueryResult> {
    const operation = {
      instance: this.#parts.settings.name,
      attributes: { 'db.system.name': 'postgresql' } as Record<string, string | number | boolean>,
      outcome: 'ok',
    }
    return await QUERY_CHANNEL.trace(operation, async () => {
      try {
        return await this.#run(request, session, trace, done)
      } catch (error) {
        operation.outcome = (error as { outcome?: string } | null)?.outcome ?? 'error'
        throw error
      } finally {
        const { attributes } = operation
        attributes['db.operation.name'] =
          request.text === undefined ? 'OTHER' : this.statement(request.text).command
        attributes['cays.reason'] = trace.reason
        attributes['cays.attempts'] = trace.attempts
        if (trace.server) {
          Object.assign(attributes, addressOf(trace.server), { 'cays.role': trace.server.role })
        }
      }
    })
  }

  async #run(
    request: Request,
    session: Session,
    trace: Trace,
    done: (() => void) | undefined,
  ): Promise<QueryResult> {
    try {
      return await this.#attempt(request, session, trace)
    } finally {
      done?.()
    }
  }

  async #attempt(request: Request, session: Session, trace: Trace): Promise<QueryResult> {
    const { settings, topology } = this.#parts
    const statement = request.text === undefined ? undefined : this.statement(request.text)
    if (statement) refuseTransactionControl(statement)
    let safe = statement !== undefined && this.isRead(statement)
    let read = request.route === 'replica' || (request.route === 'auto' && safe)
    const demand: ReadDemand = {
      consistency: request.consistency,
      maxStaleness: request.maxStaleness,
      session,
      asked: request.route === 'replica',
      signal: request.signal,
      avoid: new Set(),
      deadline: undefined,
    }
    let fresh = true
    for (;;) {
      request.signal?.throwIfAborted()
      const placing = read
        ? this.#parts.placement.read(demand)
        : this.#parts.placement.write(request.signal, request.route === 'primary' ? 'asked' : 'write')
      const place: Place = placing instanceof Promise ? await placing : placing
      const { server } = place
      const onReplica = server.role === 'replica'
      trace.server = server
      trace.reason = place.reason
      trace.attempts++
      const repeatable = request.idempotent ?? safe
      const result = await server.run(
        {
          config: request.config,
          values: request.values,
          signal: request.signal,
          single: statement?.single ?? false,
          repeatable,
        },
        place.verify,
      )
      place.leave?.()
      if (!(result instanceof Failure)) {
        if (!safe && !onReplica && (!statement || mayWrite(statement))) session.wrote()
        else if (session.monotonic && !onReplica) session.saw()
        return result
      }
      const { error } = result
      if (error instanceof Error) Error.captureStackTrace(error)
      if (request.signal?.aborted) throw this.#aborted(request, result, server, safe || onReplica, session)
      switch (result.kind) {
        case 'behind':
          // The sample that made it eligible belonged to an older connection; the next probe tells more.
          topology.suspect(server, false)
          demand.avoid.add(server)
          continue
        case 'acquire':
          await this.#notStarted(error, server, trace, request.signal)
          if (read) demand.avoid.add(server)
          continue
        case 'lost':
          topology.suspect(server, false)
          if (!repeatable) {
            if (!safe && !onReplica && (!statement || mayWrite(statement))) session.wrote()
            throw safe || onReplica
              ? lostRead(error, server, trace.attempts)
              : unknownOutcome(error, server, trace.attempts)
          }
          if (trace.attempts >= settings.readAttempts) throw lostRead(error, server, trace.attempts)
          if (read) demand.avoid.add(server)
          continue
        case 'statement':
          if (isStalePlan(error) && fresh) {
            fresh = false
            continue
          }
          if (onReplica && needsPrimary(error) && request.route !== 'replica') {
            // The server refused it before any effect, so it is no read after all.
            if (request.text !== undefined) this.#parts.statements.learn(request.text)
            read = false
            safe = false
            continue
          }
          if (onReplica && isRecoveryConflict(error) && trace.attempts < settings.readAttempts) {
            demand.avoid.add(server)
            continue
          }
          if (!onReplica && codeOf(error) === READ_ONLY_TRANSACTION && isDemotion(server, statement)) {
            topology.demoted(server)
            if (trace.attempts < settings.readAttempts) continue
          }
          throw withOutcome(error, outcomeOfRefusal(statement), server.name)
      }
    }
  }

  /** Nothing was sent. Returns when it is worth trying again, throws when it is not. */
  async #notStarted(
    error: unknown,
    server: Server,
    trace: Trace,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { topology } = this.#parts
    if (isRefusal(error)) throw withOutcome(error, 'not-executed', server.name)
    const options = { cause: error, host: server.name, attempts: trace.attempts }
    if (isPoolTimeout(error)) {
      throw new UnavailableError(
        'DB_ERR_UNAVAILABLE',
        'all connections to the server are in use and none became free in time; raise pool.max or make statements shorter',
        options,
      )
    }
    if (isPoolEnded(error)) {
      throw new UnavailableError(
        'DB_ERR_CLOSED',
        'the router was closed before the statement started',
        options,
      )
    }
    if (trace.attempts >= START_ATTEMPTS) {
      throw new UnavailableError('DB_ERR_UNAVAILABLE', 'no server could be reached; try again later', options)
    }
    if (codeOf(error) === TOO_MANY_CONNECTIONS) {
      await delay(backoff(trace.attempts - 1, { base: 20, cap: 500 }) + 5, { signal })
      return
    }
    topology.suspect(server, !isServerError(error) || isFatal(error))
  }

  #aborted(request: Request, failure: Failure, server: Server, read: boolean, session: Session): unknown {
    const reason: unknown = request.signal?.reason
    const { single } = this.statement(request.text ?? '')
    if (!read && (failure.kind === 'lost' || (failure.kind === 'statement' && !single))) {
      session.wrote()
      return unknownOutcome(reason, server, 1)
    }
    if (failure.kind === 'statement' && isServerError(failure.error) && codeOf(failure.error) !== '57014') {
      return withOutcome(failure.error, 'rolled-back', server.name)
    }
    return reason
  }

  /** A connection to a server that is the primary now, for a transaction or for state. */
  async checkoutPrimary(signal: AbortSignal | undefined): Promise<{ server: Server; client: PoolClient }> {
    const trace: Trace = { server: undefined, reason: '', attempts: 0 }
    for (;;) {
      const waiting = this.#parts.topology.waitForPrimary(signal)
      const server = waiting instanceof Promise ? await waiting : waiting
      trace.attempts++
      const client = await server.checkout()
      if (!(client instanceof Failure)) return { server, client }
      await this.#notStarted(client.error, server, trace, signal)
    }
  }

  /** A connection to a replica that shows what the session has seen; to the primary when there is none. */
  async checkoutReplica(
    demand: ReadDemand,
  ): Promise<{ server: Server; client: PoolClient; leave: (() => void) | undefined }> {
    const trace: Trace = { server: undefined, reason: '', attempts: 0 }
    for (;;) {
      demand.signal?.throwIfAborted()
      const { server, verify, leave } = await this.#parts.placement.read(demand)
      trace.attempts++
      const client = await server.checkout()
      if (!(client instanceof Failure)) {
        if (!verify || (await server.prove(client, verify))) return { server, client, leave }
        client.release()
        leave?.()
        demand.avoid.add(server)
        continue
      }
      leave?.()
      await this.#notStarted(client.error, server, trace, demand.signal)
      demand.avoid.add(server)
    }
  }
}

function refuseTransactionControl(statement: Statement): void {
  const { kind, command } = statement
  if (kind !== 'begin' && kind !== 'commit' && kind !== 'rollback' && kind !== 'savepoint') return
  throw new UsageError(
    'DB_ERR_USAGE',
    `${command} through a pool would begin or end a transaction on any of its connections; use transaction() or connect()`,
  )
}

function isDemotion(server: Server, statement: Statement | undefined): boolean {
  return server.role !== 'replica' && statement !== undefined && statement.single
}

// Several statements, procedures and DO blocks may have committed a part; some commands cannot be undone.
function outcomeOfRefusal(statement: Statement | undefined): 'rolled-back' | 'unknown' {
  if (!statement?.single) return 'unknown'
  if (statement.kind !== 'other') return 'rolled-back'
  return statement.command === 'CALL' || statement.command === 'DO' ? 'unknown' : 'rolled-back'
}

function lostRead(error: unknown, server: Server, attempts: number): RolledBackError {
  return new RolledBackError(
    'DB_ERR_CONNECTION_LOST',
    'the connection broke during a read and no other server could answer it; it had no effect, try again',
    { cause: error, outcome: 'rolled-back', host: server.name, attempts },
  )
}

export function unknownOutcome(error: unknown, server: Server, attempts: number): OutcomeUnknownError {
  return new OutcomeUnknownError(
    'DB_ERR_OUTCOME_UNKNOWN',
    'the connection broke before the server answered; the write may or may not have happened, look before you repeat it',
    { cause: error, outcome: 'unknown', host: server.name, attempts },
  )
}

function isPoolTimeout(error: unknown): boolean {
  return error instanceof Error && error.message === 'timeout exceeded when trying to connect'
}

function isPoolEnded(error: unknown): boolean {
  return error instanceof Error && error.message === 'Cannot use a pool after calling end on the pool'
}
