import { pathToFileURL } from 'node:url'
import type { BenchmarkCase, Measures, Operation, Servers } from './define-case.ts'

/** Sent by the parent. */
export type Request =
  | { readonly type: 'prepare'; readonly file: string; readonly contender: number; readonly servers: Servers }
  | { readonly type: 'round'; readonly time: number }
  | { readonly type: 'close' }

/** What one round took, per operation in µs. */
export interface Round {
  readonly time: number
  readonly cpu: number
  /** Resident memory after the round, in MiB. */
  readonly memory: number
  /** What the last run measured itself. */
  readonly measures?: Measures
}

/** Sent to the parent. */
export type Answer = { readonly ready: true } | { readonly round: Round } | { readonly failed: string }

const BATCH_TIME = 10
const LARGEST_BATCH = 100_000

// The loader of TypeScript switches them on, and they make each error thrown dear.
process.setSourceMapsEnabled(false)

let operation: Operation | undefined
let batch = 1

process.on('message', (request: Request) => {
  answer(request).catch((error: unknown) => {
    const failed = error instanceof Error ? (error.stack ?? error.message) : String(error)
    process.send?.({ failed } satisfies Answer)
  })
})
// The parent is gone: nobody waits for the figures.
process.on('disconnect', () => process.exit(1))

async function answer(request: Request): Promise<void> {
  if (request.type === 'prepare') {
    const { benchmark } = (await import(pathToFileURL(request.file).href)) as { benchmark: BenchmarkCase }
    const contender = benchmark.contenders[request.contender]
    if (!contender) throw new Error(`there is no contender ${request.contender}`)
    operation = await contender.prepare(request.servers)
    process.send?.({ ready: true } satisfies Answer)
  } else if (request.type === 'round') {
    process.send?.({ round: await measure(request.time) } satisfies Answer)
  } else {
    await operation?.close?.()
    process.exit(0)
  }
}

async function measure(time: number): Promise<Round> {
  if (!operation) throw new Error('a round before its preparation')
  // The garbage of the round before belongs to no round. Only the young: a full collection while nothing is under
  // way also throws away optimized code, and the round would measure how fast it is compiled again.
  globalThis.gc?.({ type: 'minor' })
  const cpuBefore = process.cpuUsage()
  const started = performance.now()
  let done = 0
  let elapsed = 0
  let measures: Measures | undefined
  do {
    const from = elapsed
    measures = (await operation.run(batch)) ?? undefined
    done += batch
    elapsed = performance.now() - started
    // Batches long enough for the clock to cost nothing, short enough for the round to end on time.
    if (elapsed - from < BATCH_TIME && batch < LARGEST_BATCH) batch *= 2
  } while (elapsed < time)
  const { user, system } = process.cpuUsage(cpuBefore)
  return {
    time: (elapsed * 1_000) / done,
    cpu: (user + system) / done,
    memory: process.memoryUsage().rss / 2 ** 20,
    ...(measures ? { measures } : {}),
  }
}
