import { delay } from '@cays/core/abort'
import { backoff } from '@cays/core/backoff'
import { RolledBackError } from './errors.ts'
import { codeOf, READ_ONLY_TRANSACTION } from './failure.ts'
import type { RouterClient } from './router-client.ts'
import { optionReader, readSignal } from './settings.ts'

/** The isolation levels Postgres tells apart. */
export type Isolation = 'read committed' | 'repeatable read' | 'serializable'

/** How a transaction runs. */
export interface TransactionOptions {
  /** @default the database's, `read committed` unless changed */
  readonly isolation?: Isolation
  /** Runs on a replica, on one snapshot if the isolation gives one. `serializable` stays on the primary. */
  readonly readOnly?: boolean
  /**
   * How often the whole function may run again after a serialization failure, a deadlock or a connection
   * lost before COMMIT was sent. A COMMIT whose answer was lost is never repeated. @default 0
   */
  readonly retry?: number
  readonly signal?: AbortSignal
}

const ISOLATIONS: readonly Isolation[] = ['read committed', 'repeatable read', 'serializable']

/** Connections of a pool that may turn out to be dead before one is not. */
const STALE_CONNECTIONS = 3

const RETRIED = new Set(['40001', '40P01', 'DB_ERR_CONNECTION_LOST', READ_ONLY_TRANSACTION])

export interface TransactionPlan {
  readonly begin: string
  readonly readOnly: boolean
  readonly retry: number
  readonly signal: AbortSignal | undefined
}

export function planTransaction(options: TransactionOptions): TransactionPlan {
  const read = optionReader('transaction')
  read.known(options, ['isolation', 'readOnly', 'retry', 'signal'])
  const isolation =
    options.isolation === undefined
      ? undefined
      : read.oneOf('isolation', options.isolation, 'read committed', ISOLATIONS)
  const readOnly = read.boolean('readOnly', options.readOnly, false)
  return {
    begin: `BEGIN${isolation ? ` ISOLATION LEVEL ${isolation.toUpperCase()}` : ''}${readOnly ? ' READ ONLY' : ''}`,
    readOnly,
    retry: read.integer('retry', options.retry, 0, { min: 0, max: 100 }),
    signal: readSignal(read, options.signal),
  }
}

/** Runs `work` between BEGIN and COMMIT; rolls back when it throws. */
export async function runTransaction<T>(
  plan: TransactionPlan,
  connect: () => RouterClient,
  work: (client: RouterClient) => Promise<T>,
): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    plan.signal?.throwIfAborted()
    let begun = false
    try {
      return await once(plan, connect(), work, () => {
        begun = true
      })
    } catch (error) {
      // Before BEGIN was answered nothing has run, so a connection that was dead already costs no retry.
      const allowed = begun ? plan.retry : Math.max(plan.retry, STALE_CONNECTIONS)
      if (attempt >= allowed || !mayRunAgain(error)) throw error
      await delay(backoff(attempt, { base: 10, cap: 500 }), { signal: plan.signal })
    }
  }
}

async function once<T>(
  plan: TransactionPlan,
  client: RouterClient,
  work: (client: RouterClient) => Promise<T>,
  begun: () => void,
): Promise<T> {
  try {
    await client.query({ text: plan.begin, ...(plan.signal ? { signal: plan.signal } : {}) })
    begun()
    let result: T
    try {
      result = await work(client)
      plan.signal?.throwIfAborted()
    } catch (error) {
      // A connection that is not idle afterwards is closed on release, which rolls back as well.
      await rollBack(client)
      throw error
    }
    const { command } = (await client.query('COMMIT')) as { command: string }
    if (command === 'ROLLBACK') {
      throw new RolledBackError(
        'DB_ERR_TRANSACTION_ABORTED',
        'an earlier statement of the transaction failed and its error was ignored, so COMMIT rolled back',
        { outcome: 'rolled-back', host: client.server },
      )
    }
    return result
  } finally {
    client.release()
  }
}

async function rollBack(client: RouterClient): Promise<void> {
  try {
    if (client.getTransactionStatus() !== null) await client.query('ROLLBACK')
  } catch {
    // The error that led here matters more.
  }
}

/** Looks through errors that wrap the one that matters, as ORMs make them. */
function mayRunAgain(error: unknown): boolean {
  let at: unknown = error
  for (let depth = 0; depth < 5 && at; depth++) {
    if ((at as { outcome?: unknown }).outcome === 'unknown') return false
    const code = codeOf(at)
    if (code !== undefined && RETRIED.has(code)) return true
    at = (at as { cause?: unknown }).cause
  }
  return false
}
