import type { QueryResult } from 'pg'
import { Attempt, type Submission } from './attempt.ts'
import { mayWrite, type Statement } from './classify.ts'
import type { DecisionTrace } from './decision-trace.ts'
import type { DispatcherParts } from './dispatcher.ts'
import { lostRead, type RouterError, UsageError, unknownOutcome } from './errors.ts'
import {
  codeOf,
  Failure,
  isRecoveryConflict,
  isServerError,
  isServerTrouble,
  isStalePlan,
  needsPrimary,
  READ_ONLY_TRANSACTION,
  withOutcome,
} from './failure.ts'
import { Superseded } from './hedged-read.ts'
import type { Position } from './lsn.ts'
import type { Consistency } from './options.ts'
import type { Pace, Paces } from './pace.ts'
import type { Place, PlaceReason, ReadDemand } from './placement.ts'
import { refuseSessionState } from './pooler.ts'
import type { Request } from './request.ts'
import type { Server } from './server.ts'
import type { Session } from './session.ts'
import { mayStartAgain } from './start-failure.ts'

/** Two tries of one read on different servers at once. */
export interface Pair {
  /** Servers that either has tried. */
  readonly servers: Set<Server>
  /** Where the second goes, and nowhere else. */
  readonly place?: Place
}

/**
 * One statement outside of transactions, from the call to its end: decides where it runs, and after a failure
 * whether it runs again. While all goes well it costs one promise and no listener.
 *
 * Invariants:
 * 1. A statement is sent a second time only if the first had no effect: it never started, the server refused
 *    it whole, or it is a read.
 * 2. A write whose answer was lost ends as `OutcomeUnknownError`, unless the caller called it idempotent.
 * 3. Every error that leaves here carries `outcome`.
 */
export class Execution implements Submission, ReadDemand {
  readonly promise: Promise<QueryResult>
  readonly config: Request['config']
  readonly values: Request['values']
  readonly signal: AbortSignal | undefined
  readonly consistency: Consistency
  readonly maxStaleness: number
  readonly session: Session
  readonly asked: boolean
  single = false
  repeatable = false
  shares = false
  prepared: string | undefined
  pace: Pace | undefined
  avoid: Set<Server> | undefined
  deadline: number | undefined
  certain = false
  position: Position | undefined
  /** Who is told of it, if anybody listens. */
  trace: DecisionTrace | undefined
  /** Where the last try went, why, and how many there were. */
  server: Server | undefined
  reason: PlaceReason | '' = ''
  attempts = 0
  readonly #parts: DispatcherParts
  readonly #request: Request
  readonly #done: (() => void) | undefined
  #resolve: (result: QueryResult | Promise<never>) => void = () => {}
  #statement: Statement | undefined
  /** By its text it only reads. */
  #safe = false
  /** It goes to a replica if one can take it. */
  #read = false
  /** It would go to a replica if the router did more than watch. */
  #observed = false
  /** What the server was when it was chosen; it may have changed since. */
  #onReplica = false
  #leave: (() => void) | undefined
  /** It went where the session's position was only hoped to be. */
  #hoped = false
  readonly #pair: Pair | undefined
  #replanned = 0

  /** `done` is called when the statement is over, however it ends. */
  constructor(
    parts: DispatcherParts,
    request: Request,
    session: Session,
    done: (() => void) | undefined,
    pair?: Pair,
  ) {
    this.#pair = pair
    this.#parts = parts
    this.#request = request
    this.#done = done
    this.session = session
    this.config = request.config
    this.values = request.values
    this.signal = request.signal
    this.consistency = request.consistency
    this.maxStaleness = request.maxStaleness
    this.asked = request.route === 'replica'
    this.promise = new Promise((resolve) => {
      this.#resolve = resolve
    })
  }

  start(): void {
    const { text, route, idempotent } = this.#request
    const now = performance.now()
    if (text !== undefined) {
      const statement = this.#parts.statements.get(text)
      const { pooler } = this.#parts.settings
      const refusal = transactionControl(statement) ?? (pooler ? refuseSessionState(statement) : undefined)
      if (refusal) {
        this.#fail(refusal)
        return
      }
      this.#statement = statement
      this.single = statement.single
      this.#safe = this.#parts.catalog.isRead(statement, now)
    }
    this.#read = this.asked || (route === 'auto' && this.#safe)
    if (this.#read && !this.asked && this.#parts.settings.routing === 'observe') {
      this.#read = false
      this.#observed = true
    }
    this.repeatable = idempotent ?? this.#safe
    if (this.#parts.paces && text !== undefined) this.#hurry(this.#parts.paces, text)
    this.#next(now)
  }

  sending(): void {
    this.trace?.sent(this.server as Server, this.reason as PlaceReason, this.position)
  }

  /** What became of one try. */
  ended(result: QueryResult | Failure): void {
    this.#leave?.()
    const server = this.server as Server
    if (this.#hoped) this.#found(result, server)
    if (result instanceof Failure) {
      this.#failed(result, server)
      return
    }
    // It has shown what the replica that the session read from before may not have.
    if (this.#pair?.place && this.session.monotonic) this.session.replica = server
    if (!this.#onReplica) {
      if (this.#mayHaveWritten()) this.session.wrote()
      else if (this.session.monotonic) this.session.saw()
    }
    this.#done?.()
    this.#resolve(result)
  }

  /** Reads and writes of a plain text may share a connection and be prepared. */
  #hurry(paces: Paces, text: string): void {
    const { pipeline, prepare } = this.#parts.settings
    const kind = this.#statement?.kind
    if (typeof this.config !== 'string' || !this.single || (kind !== 'read' && kind !== 'write')) return
    this.pace = paces.of(text)
    this.shares = pipeline !== undefined && this.pace.quick
    if (prepare) this.prepared = paces.name(this.pace)
  }

  #next(now = performance.now()): void {
    if (this.signal?.aborted) {
      this.#fail(this.signal.reason)
      return
    }
    const { placement } = this.#parts
    if (this.#pair?.place) {
      if (this.attempts === 0) this.#try(this.#pair.place, now)
      else this.#fail(new Superseded())
      return
    }
    const place = this.#read ? placement.read(this, now) : placement.write(this.signal, this.#whyPrimary())
    if (place instanceof Promise) {
      place.then(
        (found) => this.#try(found, performance.now()),
        (error: unknown) => this.#fail(error),
      )
    } else this.#try(place, now)
  }

  #whyPrimary(): PlaceReason {
    if (this.#observed) return 'observed'
    return this.#request.route === 'primary' ? 'asked' : 'write'
  }

  #try(place: Place, now: number): void {
    this.server = place.server
    this.reason = place.reason
    this.#leave = place.leave
    this.#onReplica = place.server.role === 'replica'
    this.#hoped = place.hoped === true
    this.#pair?.servers.add(place.server)
    this.attempts++
    new Attempt(place.server, this, place.verify, now).start()
  }

  #failed(failure: Failure, server: Server): void {
    const { topology, settings } = this.#parts
    const { error } = failure
    const more = this.attempts < settings.readAttempts
    if (this.signal?.aborted) {
      this.#fail(this.#aborted(failure, server))
      return
    }
    switch (failure.kind) {
      case 'behind':
        if (this.#hoped) {
          this.certain = true
          this.#next()
          return
        }
        // The sample that made it eligible belonged to an older connection; the next probe tells more.
        topology.suspect(server, false)
        this.#elsewhere(server)
        return
      case 'acquire':
        mayStartAgain(error, server, this.attempts, topology, this.signal).then(
          () => this.#elsewhere(server),
          (reason: unknown) => this.#fail(reason),
        )
        return
      case 'lost':
        topology.suspect(server, false)
        topology.failed(server)
        if (this.repeatable && more) {
          this.#elsewhere(server)
          return
        }
        if (!this.#onReplica && this.#mayHaveWritten()) {
          this.session.wrote()
          this.#fail(unknownOutcome(error, server.name, this.attempts))
          return
        }
        this.#fail(lostRead(error, server.name, this.attempts))
        return
      case 'statement':
        this.#refused(error, server, more)
    }
  }

  /** The server refused it, so it had no effect there. */
  #refused(error: unknown, server: Server, more: boolean): void {
    const { topology, statements } = this.#parts
    const { text, route } = this.#request
    // Raised before anything runs. Every connection may have prepared it before the tables changed.
    if (isStalePlan(error) && this.#replanned++ < server.pool.max) {
      this.#next()
      return
    }
    if (this.#onReplica) {
      if (needsPrimary(error) && route !== 'replica') {
        // It is no read after all.
        if (text !== undefined) statements.learn(text)
        this.#read = false
        this.#safe = false
        this.repeatable = this.#request.idempotent ?? false
        this.#next()
        return
      }
      const trouble = isServerTrouble(error)
      if (trouble) topology.failed(server)
      if ((isRecoveryConflict(error) || (trouble && this.repeatable)) && more) {
        this.#elsewhere(server)
        return
      }
    } else if (codeOf(error) === READ_ONLY_TRANSACTION && this.single) {
      if (server.role !== 'replica') topology.demoted(server)
      if (more) {
        this.#next()
        return
      }
    }
    this.#fail(withOutcome(error, outcomeOfRefusal(this.#statement), server.name))
  }

  #found(result: QueryResult | Failure, server: Server): void {
    const behind = result instanceof Failure && result.kind === 'behind'
    if (behind || !(result instanceof Failure)) server.hoped(!behind, performance.now())
  }

  #elsewhere(server: Server): void {
    if (this.#read) {
      this.avoid ??= new Set()
      this.avoid.add(server)
    }
    this.#next()
  }

  #aborted(failure: Failure, server: Server): unknown {
    const reason: unknown = this.signal?.reason
    const lost = failure.kind === 'lost' || (failure.kind === 'statement' && !this.single)
    if (lost && !this.#onReplica && !this.#safe) {
      this.session.wrote()
      return unknownOutcome(reason, server.name, this.attempts)
    }
    if (failure.kind === 'statement' && isServerError(failure.error) && codeOf(failure.error) !== '57014') {
      return withOutcome(failure.error, 'rolled-back', server.name)
    }
    return reason
  }

  #mayHaveWritten(): boolean {
    return !this.#safe && (this.#statement === undefined || mayWrite(this.#statement))
  }

  #fail(error: unknown): void {
    this.#done?.()
    this.#resolve(rejected(error))
  }
}

/** Rejects with a stack that leads to the caller, not to the socket: rare, so it may cost something. */
async function rejected(error: unknown): Promise<never> {
  await undefined
  if (error instanceof Error) Error.captureStackTrace(error)
  throw error
}

function transactionControl({ kind, command }: Statement): RouterError | undefined {
  if (kind !== 'begin' && kind !== 'commit' && kind !== 'rollback' && kind !== 'savepoint') return undefined
  return new UsageError(
    'DB_ERR_USAGE',
    `${command} through a pool would begin or end a transaction on any of its connections; use transaction() or connect(); an ORM that does this holds a second copy of pg (npm ls pg)`,
  )
}

// Several statements, procedures and DO blocks may have committed a part; some commands cannot be undone.
function outcomeOfRefusal(statement: Statement | undefined): 'rolled-back' | 'unknown' {
  if (!statement?.single) return 'unknown'
  if (statement.kind !== 'other') return 'rolled-back'
  return statement.command === 'CALL' || statement.command === 'DO' ? 'unknown' : 'rolled-back'
}
