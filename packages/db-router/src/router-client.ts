import { EventEmitter } from 'node:events'
import type { Client, QueryResult } from 'pg'
import { type Cancellation, cancelBackend } from './cancel-backend.ts'
import { mayWrite, type Statement } from './classify.ts'
import type { DecisionTrace } from './decision-trace.ts'
import type { Checkout, Dispatcher } from './dispatcher.ts'
import { RolledBackError, UsageError, unknownOutcome } from './errors.ts'
import { codeOf, isFatal, isServerError, READ_ONLY_TRANSACTION, withOutcome } from './failure.ts'
import { refuseSessionState } from './pooler.ts'
import { type Request, withTimeout } from './request.ts'
import type { Session } from './session.ts'
import type { Topology } from './topology.ts'

interface Binding extends Checkout {
  readonly client: Client
  /** Something was left in the connection, so it stays until release. */
  sticky: boolean
}

export interface ClientParts {
  readonly dispatcher: Dispatcher
  readonly topology: Topology
  readonly session: Session
  /** A transaction pooler stands before the servers. */
  readonly pooler: boolean
  /** Read-only transactions may run on a replica. */
  readonly replicas: boolean
  readonly read: (
    given: string | Readonly<Record<string, unknown>>,
    values: readonly unknown[] | undefined,
  ) => Request
  readonly released: () => void
}

const FORWARDED = ['notice', 'notification', 'end', 'drain'] as const

/** Functions that tell what a sequence gave to an earlier statement of the same connection. */
const LAST_VALUES = new Set(['currval', 'lastval'])

/**
 * What `connect()` gives: a client of no server yet. Reads and writes are routed one by one, until a statement needs a
 * connection of its own: BEGIN, or anything that may leave state behind. From there all statements run on that
 * connection, in order. It never moves while a transaction is open; a read-only transaction on a replica gives its
 * connection back at the end.
 */
export class RouterClient extends EventEmitter {
  readonly #parts: ClientParts
  #binding: Binding | undefined
  #tail: Promise<unknown> = Promise.resolve()
  #queued = 0
  /** A write has run on a connection that was given back. */
  #wrote = false
  #released = false
  #unlisten: () => void = () => {}

  constructor(parts: ClientParts) {
    super()
    this.#parts = parts
  }

  query(...given: readonly unknown[]): unknown {
    const [first, second, third] = given
    const callback = [second, third].find((value) => typeof value === 'function') as
      | ((error: unknown, result?: QueryResult) => void)
      | undefined
    if (isSubmittable(first)) return this.#submit(first, callback)
    const values = Array.isArray(second) ? (second as unknown[]) : undefined
    const promise = this.#enqueue(() => {
      const request = this.#request(first, values)
      return request.timeout === undefined
        ? this.#run(request)
        : withTimeout(request, (limited) => this.#run(limited))
    })
    if (!callback) return promise
    promise.then(
      (result) => callback(undefined, result),
      (error: unknown) => callback(error),
    )
    return undefined
  }

  /** Gives the connection back, if one was taken. With an error or `true`, or inside a transaction, it is closed. */
  release(error?: unknown): void {
    if (this.#released) {
      throw new UsageError('DB_ERR_USAGE', 'release: this client has already been released')
    }
    this.#released = true
    if (this.#queued > 0) this.#tail.then(() => this.#unbind(Boolean(error)))
    else this.#unbind(Boolean(error))
    this.#parts.released()
  }

  /** `I` idle, `T` in a transaction, `E` in a failed one, `null` while no connection was taken. */
  getTransactionStatus(): 'I' | 'T' | 'E' | null {
    return this.#binding?.client.getTransactionStatus() ?? null
  }

  /** Server the client is bound to, as `host:port`. */
  get server(): string | undefined {
    return this.#binding?.server.name
  }

  get processID(): number | null {
    return (this.#binding?.client as unknown as { processID: number } | undefined)?.processID ?? null
  }

  #request(given: unknown, values: readonly unknown[] | undefined): Request {
    if (typeof given !== 'string' && (typeof given !== 'object' || given === null)) {
      throw new UsageError('DB_ERR_USAGE', 'query: pass a text or a query object')
    }
    return this.#parts.read(given as string | Record<string, unknown>, values)
  }

  #enqueue<T>(work: () => Promise<T>): Promise<T> {
    if (this.#released) {
      return Promise.reject(new UsageError('DB_ERR_USAGE', 'query: this client has already been released'))
    }
    this.#queued++
    const result = this.#queued === 1 ? invoke(work) : this.#tail.then(work)
    this.#tail = result.then(
      () => this.#queued--,
      () => this.#queued--,
    )
    return result
  }

  async #run(request: Request): Promise<QueryResult> {
    const { dispatcher, session } = this.#parts
    const statement = dispatcher.statement(request.text ?? '')
    if (this.#parts.pooler && this.getTransactionStatus() !== 'T') {
      const refusal = refuseSessionState(statement)
      if (refusal) throw refusal
    }
    if (!this.#binding) {
      const write = standsAlone(statement, request.text ?? '')
      if (write || dispatcher.isRead(statement)) {
        this.#wrote ||= write
        return await dispatcher.run(request, session)
      }
      if (this.#wrote && statement.calls.some((name) => LAST_VALUES.has(name))) throw lastValueElsewhere()
    }
    const trace = dispatcher.trace(request)
    if (!trace) return await this.#onOne(statement, request)
    return await trace.follow(() => this.#onOne(statement, request, trace))
  }

  /** On the connection that this client has, or takes now. */
  async #onOne(statement: Statement, request: Request, trace?: DecisionTrace): Promise<QueryResult> {
    const held = this.#binding
    const binding = held ?? (await this.#bind(statement, request))
    if (held) trace?.sent(held.server, 'bound', undefined)
    else trace?.sent(binding.server, binding.reason, binding.position)
    return await this.#send(binding, statement, request)
  }

  async #bind(statement: Statement, request: Request): Promise<Binding> {
    const { dispatcher, session } = this.#parts
    const onReplica =
      request.route === 'replica' ||
      (statement.kind === 'begin' && statement.readOnly && request.route === 'auto' && this.#parts.replicas)
    if (onReplica) {
      const { consistency, maxStaleness, signal } = request
      const asked = request.route === 'replica'
      const demand = { consistency, maxStaleness, session, asked, signal }
      return this.#listen(await dispatcher.checkoutReplica(demand), false)
    }
    return this.#listen(await dispatcher.checkoutPrimary(request.signal), true)
  }

  #listen(checkout: Checkout, sticky: boolean): Binding {
    const { client } = checkout.connection
    const binding = { ...checkout, client, sticky }
    this.#binding = binding
    const forwards = FORWARDED.map((name) => {
      const forward = (payload: unknown) => this.emit(name, payload)
      client.on(name as 'end', forward as never)
      return () => client.removeListener(name, forward)
    })
    const failed = (error: Error) => {
      if (this.listenerCount('error') > 0) this.emit('error', error)
    }
    client.on('error', failed)
    this.#unlisten = () => {
      for (const stop of forwards) stop()
      client.removeListener('error', failed)
    }
    return binding
  }

  #unbind(destroy: boolean): void {
    const binding = this.#binding
    if (!binding) return
    this.#binding = undefined
    this.#unlisten()
    binding.release(destroy || binding.client.getTransactionStatus() !== 'I')
  }

  async #send(binding: Binding, statement: Statement, request: Request): Promise<QueryResult> {
    const { session, topology } = this.#parts
    const { client, server, connection } = binding
    const inside = client.getTransactionStatus() !== 'I'
    if (statement.kind === 'session') binding.sticky = true
    const sent = !connection.dead
    const onPrimary = server.role !== 'replica'
    const harmless = statement.kind === 'read' && this.#parts.dispatcher.isRead(statement)
    // A statement inside a transaction shows only once COMMIT is answered.
    const ends = statement.kind === 'commit' || !statement.single || (!inside && !harmless)
    const wrote = () => {
      if (onPrimary && ends && mayWrite(statement)) session.wrote()
    }
    try {
      const result = await answer(client, request)
      wrote()
      if (!binding.sticky && client.getTransactionStatus() === 'I') this.#unbind(false)
      return result
    } catch (error) {
      if (request.signal?.aborted && error === request.signal.reason) throw error
      if (error instanceof Error) Error.captureStackTrace(error)
      const lost = isServerError(error) ? isFatal(error) : connection.dead || !sent
      if (!lost) {
        // The transaction may have been declared read-only; if it is the server, a probe will tell.
        if (codeOf(error) === READ_ONLY_TRANSACTION && onPrimary) topology.suspect(server, false)
        throw withOutcome(error, statement.single || inside ? 'rolled-back' : 'unknown', server.name)
      }
      topology.suspect(server, false)
      if (sent && (statement.kind === 'commit' || !statement.single || (!inside && !harmless && onPrimary))) {
        session.wrote()
        throw unknownOutcome(error, server.name, 1)
      }
      throw new RolledBackError(
        'DB_ERR_CONNECTION_LOST',
        inside
          ? 'the connection broke inside a transaction, which rolled back; run the whole transaction again'
          : 'the connection broke; the statement had no effect, try again on another client',
        { cause: error, outcome: sent ? 'rolled-back' : 'not-executed', host: server.name, attempts: 1 },
      )
    }
  }

  #submit<T extends Submittable>(submittable: T, callback: unknown): T {
    const send = (binding: Binding) => {
      if (typeof callback === 'function') submittable.callback ??= callback
      binding.sticky = true
      binding.client.query(submittable as never)
    }
    if (this.#binding && this.#queued === 0) {
      send(this.#binding)
      return submittable
    }
    this.#enqueue(async () => {
      if (!this.#binding) {
        this.#listen(await this.#parts.dispatcher.checkoutPrimary(undefined), true)
      }
      send(this.#binding as unknown as Binding)
    }).catch((error: unknown) => submittable.handleError?.(error, undefined))
    return submittable
  }
}

const DATA = new Set(['INSERT', 'UPDATE', 'DELETE', 'MERGE'])
/** Functions of Postgres that leave something in the connection even when a write calls them. */
const LEAVES_STATE = /advisory_lock|set_config|setseed|dblink/i

/** It leaves nothing in the connection but what sequences gave. */
function standsAlone({ command, single }: Statement, text: string): boolean {
  return DATA.has(command) && single && !LEAVES_STATE.test(text)
}

function lastValueElsewhere(): UsageError {
  return new UsageError(
    'DB_ERR_USAGE',
    'currval and lastval know nothing of a write outside of a transaction, which runs on any connection; use RETURNING, or put both into a transaction',
  )
}

interface Submittable {
  submit: (connection: unknown) => unknown
  callback?: unknown
  handleError?: (error: unknown, connection: unknown) => void
}

export function isSubmittable(value: unknown): value is Submittable {
  return typeof (value as { submit?: unknown } | null | undefined)?.submit === 'function'
}

async function invoke<T>(work: () => Promise<T>): Promise<T> {
  return await work()
}

async function answer(client: Client, request: Request): Promise<QueryResult> {
  const { config, values, signal } = request
  signal?.throwIfAborted()
  let cancellation: Cancellation | undefined
  const abort = () => {
    cancellation ??= cancelBackend(client)
  }
  signal?.addEventListener('abort', abort, { once: true })
  try {
    const query =
      typeof config === 'string'
        ? client.query(config, values as never)
        : client.query({ ...config, ...(values ? { values } : {}) } as never)
    return (await query) as QueryResult
  } catch (error) {
    if (signal?.aborted && codeOf(error) === '57014') throw signal.reason
    throw error
  } finally {
    signal?.removeEventListener('abort', abort)
    // The next statement must not be hit by a request meant for this one.
    await (cancellation as Cancellation | undefined)?.done
  }
}
