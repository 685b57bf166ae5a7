import { type FileHandle, open, readFile, rename, rm } from 'node:fs/promises'
import type { ByteBudget } from './byte-budget.ts'
import { StorageError } from './errors.ts'
import type { ObjectHead, Provider } from './provider.ts'
import { RangeAhead } from './range-ahead.ts'
import { resumedBody } from './resumed-body.ts'

interface Part {
  readonly start: number
  /** Included. */
  readonly end: number
}

/** One object, read over several connections. */
export interface DownloadPlan {
  readonly provider: Provider
  readonly head: ObjectHead
  /** Ranges under way at once. */
  readonly connections: number
  readonly partSize: number
  readonly signal: AbortSignal | undefined
}

/**
 * The bytes in order, fetched over several connections. The part that the reader waits for streams through; the
 * next ones are read ahead as far as the budget has memory to spare, so a download never waits for memory and
 * never keeps a `put` that reads from it waiting for ever.
 */
export async function* parallelBody(plan: DownloadPlan, budget: ByteBudget): AsyncGenerator<Uint8Array> {
  const { connections } = plan
  const parts = partsOf(plan)
  const ended = new AbortController()
  const signal = plan.signal ? AbortSignal.any([plan.signal, ended.signal]) : ended.signal
  const ahead = new Map<number, RangeAhead>()
  let next = 1
  const readAhead = (at: number) => {
    next = Math.max(next, at + 1)
    for (; next < Math.min(parts.length, at + connections); next++) {
      const part = parts[next]
      const grant = part && budget.spare(part.end - part.start + 1)
      if (!part || !grant) return
      ahead.set(next, new RangeAhead(rangeOf(plan, part, signal), grant))
    }
  }
  try {
    for (const [at, part] of parts.entries()) {
      readAhead(at)
      yield* ahead.get(at)?.read() ?? rangeOf(plan, part, signal)
      ahead.delete(at)
    }
  } finally {
    ended.abort()
    for (const range of ahead.values()) void range.drop()
  }
}

/**
 * Writes the object to a file that appears whole or not at all. What an earlier try left in `<path>.partial` is
 * kept when it is of the very same object. Answers the bytes that did not have to be fetched again.
 */
export async function downloadToFile(plan: DownloadPlan, path: string): Promise<number> {
  const { head, connections } = plan
  const partial = `${path}.partial`
  const journal = `${path}.partial.log`
  // Parts are only good for the same object cut in the same way.
  const title = JSON.stringify([head.key, head.etag, head.size, plan.partSize])
  const parts = partsOf(plan)
  const done = await doneOf(journal, partial, title)
  const left = parts.flatMap((part, index) => (done.has(index) ? [] : [{ ...part, index }]))
  const resumed = parts.reduce(
    (sum, { start, end }, index) => sum + (done.has(index) ? end - start + 1 : 0),
    0,
  )
  const failed = new AbortController()
  const signal = plan.signal ? AbortSignal.any([plan.signal, failed.signal]) : failed.signal
  const file = await open(partial, done.size > 0 ? 'r+' : 'w', 0o600)
  try {
    const log = await open(journal, done.size > 0 ? 'a' : 'w', 0o600)
    try {
      if (done.size === 0) await log.appendFile(`${title}\n`)
      const work = async () => {
        for (let part = left.shift(); part; part = left.shift()) {
          await fetchInto(file, plan, part, signal)
          await file.datasync()
          await log.appendFile(`${part.index}\n`)
        }
      }
      const workers = Array.from({ length: Math.min(connections, left.length) }, () =>
        work().catch((error: unknown) => failed.abort(error)),
      )
      await Promise.all(workers)
      signal.throwIfAborted()
      await file.truncate(head.size)
    } finally {
      await log.close()
    }
  } finally {
    await file.close()
  }
  await rename(partial, path)
  await rm(journal, { force: true })
  return resumed
}

async function fetchInto(
  file: FileHandle,
  plan: DownloadPlan,
  part: Part,
  signal: AbortSignal,
): Promise<void> {
  let at = part.start
  for await (const chunk of rangeOf(plan, part, signal)) {
    for (let written = 0; written < chunk.length; ) {
      written += (await file.write(chunk, written, chunk.length - written, at + written)).bytesWritten
    }
    at += chunk.length
  }
}

/** The parts that are in the file for sure: those whose line is complete. */
async function doneOf(journal: string, partial: string, title: string): Promise<ReadonlySet<number>> {
  try {
    await (await open(partial, 'r')).close()
    const [first, ...lines] = (await readFile(journal, 'utf8')).split('\n')
    return first === title ? new Set(lines.slice(0, -1).map(Number)) : new Set()
  } catch {
    return new Set()
  }
}

async function* rangeOf({ provider, head }: DownloadPlan, part: Part, signal: AbortSignal) {
  try {
    const { body } = await provider.get(head.key, { range: part, ifMatch: head.etag }, signal)
    yield* resumedBody(provider, head, body, part, signal)
  } catch (cause) {
    if (!(cause instanceof StorageError && cause.code === 'STORAGE_ERR_PRECONDITION')) throw cause
    const message = 'the object was replaced while it was downloaded; start again'
    throw new StorageError('STORAGE_ERR_PRECONDITION', message, { cause })
  }
}

function partsOf({ head, partSize }: DownloadPlan): readonly Part[] {
  return Array.from({ length: Math.ceil(head.size / partSize) }, (_, index) => ({
    start: index * partSize,
    end: Math.min((index + 1) * partSize, head.size) - 1,
  }))
}
