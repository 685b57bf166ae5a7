import { randomUUID } from 'node:crypto'
import { raceAbort } from '@cays/core/abort'
import type { ByteBudget, Grant } from './byte-budget.ts'
import { StorageError, type StorageErrorCode, StorageUsageError } from './errors.ts'
import { MAX_PARTS, partSizeFor } from './part-plan.ts'
import type { Conditions, ObjectHeaders, Provider } from './provider.ts'
import { BlockReader, bytesOf, type Source } from './source.ts'

export interface PutPlan {
  readonly key: string
  readonly source: Source
  readonly size: number | undefined
  readonly headers: ObjectHeaders
  readonly conditions: Conditions
  /** Parts of this one object under way at once. */
  readonly concurrency: number
  /** Milliseconds that the source may give nothing. */
  readonly patience: number
  readonly signal: AbortSignal | undefined
}

/** What was written: the ETag without quotes, and the bytes. */
export interface PutResult {
  readonly etag: string
  readonly size: number
}

/**
 * Writes one object: in one request when it is small, else in equal parts. Either the whole object appears
 * under its key or, on any failure, nothing does; parts already sent are given back to the provider.
 *
 * Every buffer is granted by the budget before it is allocated and before the source is read.
 */
export async function put(provider: Provider, budget: ByteBudget, plan: PutPlan): Promise<PutResult> {
  const { size, source } = plan
  const bytes = bytesOf(source)
  const length = bytes?.length ?? size
  if (bytes && size !== undefined && bytes.length !== size) {
    throw new StorageError('STORAGE_ERR_SIZE', 'put: the source does not have the stated size')
  }
  if (length !== undefined && length > provider.capabilities.maxObjectBytes) {
    throw new StorageError('STORAGE_ERR_SIZE', 'put: the provider does not take objects of this size')
  }
  const partSize = Math.min(partSizeFor(length), budget.total)
  if (bytes && bytes.length <= partSize) return await putWhole(provider, plan, bytes)
  return await putStream(
    provider,
    budget,
    plan,
    new BlockReader(
      bytes ? only(bytes) : (source as Exclude<Source, string | Uint8Array>),
      plan.patience,
      plan.signal,
    ),
    partSize,
  )
}

async function putWhole(provider: Provider, plan: PutPlan, bytes: Uint8Array): Promise<PutResult> {
  const { key, conditions, signal } = plan
  const conditional = conditions.ifMatch !== undefined || conditions.ifNoneMatch !== undefined
  const writeId = conditional ? randomUUID() : undefined
  try {
    const { etag } = await provider.put(key, bytes, { ...plan.headers, writeId }, conditions, signal)
    return { etag, size: bytes.length }
  } catch (error) {
    // A try whose answer was lost may be what fails the condition of the next one.
    const etag = is(error, 'STORAGE_ERR_PRECONDITION') && (await writtenBy(provider, key, writeId, signal))
    if (!etag) throw error
    return { etag, size: bytes.length }
  }
}

/** The ETag of the object if the write of this id made it. */
async function writtenBy(
  provider: Provider,
  key: string,
  writeId: string | undefined,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  try {
    const head = await provider.head(key, signal)
    return head.writeId !== undefined && head.writeId === writeId ? head.etag : undefined
  } catch (error) {
    if (is(error, 'STORAGE_ERR_NOT_FOUND')) return undefined
    throw error
  }
}

function is(error: unknown, code: StorageErrorCode): boolean {
  return error instanceof StorageError && error.code === code
}

async function* only(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

async function putStream(
  provider: Provider,
  budget: ByteBudget,
  plan: PutPlan,
  reader: BlockReader,
  partSize: number,
): Promise<PutResult> {
  const { size, signal } = plan
  try {
    // A known small size needs a grant of just that size; one byte more would show that the size is wrong.
    const firstSize = Math.min(partSize, size === undefined ? partSize : Math.max(1, size))
    const grant = await budget.acquire(firstSize, signal)
    try {
      const first = await reader.fill(grant.block)
      if (await reader.ended()) {
        checkSize(size, first.length)
        const written = await putWhole(provider, plan, first)
        // The provider has read all of it and checked it.
        grant.release(true)
        return written
      }
      if (size !== undefined && first.length >= size) throw wrongSize()
      refuseConditions(provider, plan)
      return await putParts(provider, budget, plan, reader, partSize, { block: first, grant })
    } finally {
      grant.release()
    }
  } finally {
    reader.cancel()
  }
}

async function putParts(
  provider: Provider,
  budget: ByteBudget,
  plan: PutPlan,
  reader: BlockReader,
  partSize: number,
  first: { readonly block: Uint8Array; readonly grant: Grant },
): Promise<PutResult> {
  const { key, size, signal, concurrency } = plan
  const writeId = randomUUID()
  const uploadId = await provider.startMultipart(key, { ...plan.headers, writeId }, signal)
  // One part that fails ends them all: the others would only be paid for.
  const failed = new AbortController()
  const inner = signal ? AbortSignal.any([signal, failed.signal]) : failed.signal
  const parts: { readonly partNumber: number; readonly etag: string }[] = []
  const sending = new Set<Promise<void>>()
  let partNumber = 0
  const send = (block: Uint8Array, grant: Grant) => {
    const number = ++partNumber
    const sent = provider
      .putPart(key, uploadId, number, block, inner)
      .then(
        ({ etag }) => {
          parts.push({ partNumber: number, etag })
          // The provider has read all of it and checked it.
          grant.release(true)
        },
        (error: unknown) => {
          failed.abort(error)
          grant.release()
        },
      )
      .then(() => void sending.delete(sent))
    sending.add(sent)
  }
  try {
    let total = first.block.length
    send(first.block, first.grant)
    while (!(await raceAbort(reader.ended(), inner))) {
      if (partNumber === MAX_PARTS)
        throw wrongSize('put: a stream of unknown size is larger than 10,000 parts; state its size')
      // A transfer queues for memory only when it can use it: otherwise one fast source would hold all of it.
      while (sending.size >= concurrency) await Promise.race(sending)
      const grant = await budget.acquire(partSize, inner)
      try {
        const block = await raceAbort(reader.fill(grant.block), inner)
        total += block.length
        if (size !== undefined && total > size) throw wrongSize()
        send(block, grant)
      } catch (error) {
        grant.release()
        throw error
      }
    }
    checkSize(size, total)
    await Promise.all(sending)
    failed.signal.throwIfAborted()
    parts.sort((a, b) => a.partNumber - b.partNumber)
    const etag = await finish(provider, plan, uploadId, parts, writeId)
    return { etag, size: total }
  } catch (error) {
    failed.abort(error)
    await Promise.all(sending)
    // Best effort, and not bound to the caller's signal: what stays behind is found by `sweep`.
    await provider.abortMultipart(key, uploadId).catch(() => {})
    throw error
  }
}

async function finish(
  provider: Provider,
  { key, conditions, signal }: PutPlan,
  uploadId: string,
  parts: readonly { readonly partNumber: number; readonly etag: string }[],
  writeId: string,
): Promise<string> {
  try {
    return (await provider.completeMultipart(key, uploadId, parts, conditions, signal)).etag
  } catch (error) {
    // The try whose answer was lost has ended the upload, or made the object that now fails the condition.
    const suspect = is(error, 'STORAGE_ERR_NOT_FOUND') || is(error, 'STORAGE_ERR_PRECONDITION')
    const etag = suspect && (await writtenBy(provider, key, writeId, signal))
    if (!etag) throw error
    return etag
  }
}

function refuseConditions(provider: Provider, { conditions }: PutPlan): void {
  if (provider.capabilities.conditionalMultipart || (!conditions.ifMatch && !conditions.ifNoneMatch)) return
  throw new StorageUsageError(
    'STORAGE_ERR_UNSUPPORTED',
    'put: this provider decides ifMatch and ifNoneMatch only for objects that fit one request (8 MiB)',
  )
}

function checkSize(stated: number | undefined, actual: number): void {
  if (stated !== undefined && stated !== actual) throw wrongSize()
}

function wrongSize(message = 'put: the source does not have the stated size'): StorageError {
  return new StorageError('STORAGE_ERR_SIZE', message)
}
