import { raceAbort } from '@cays/core/abort'
import pLimit from 'p-limit'
import type { ByteBudget } from './byte-budget.ts'
import { StorageError, StorageUsageError } from './errors.ts'
import type { Conditions, ObjectHeaders, Provider } from './provider.ts'
import { BlockReader, bytesOf, type Source } from './source.ts'

export const MiB: number = 2 ** 20

/** Parts up to this travel as one request. R2 and S3 take parts from 5 MiB and at most 10,000 of them. */
export const PART_SIZE: number = 8 * MiB
const MAX_PARTS = 10_000

export interface PutPlan {
  readonly key: string
  readonly source: Source
  readonly size: number | undefined
  readonly headers: ObjectHeaders
  readonly conditions: Conditions
  /** Parts of this one object under way at once. */
  readonly concurrency: number
  readonly signal: AbortSignal | undefined
}

export interface PutResult {
  readonly etag: string
  readonly size: number
}

/** The size of every part but the last, so that the whole fits in 10,000 of them. */
export function partSizeFor(size: number | undefined): number {
  if (size === undefined) return PART_SIZE
  return Math.max(PART_SIZE, Math.ceil(size / MAX_PARTS / MiB) * MiB)
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
    new BlockReader(bytes ? only(bytes) : (source as never)),
    partSize,
  )
}

async function putWhole(provider: Provider, plan: PutPlan, bytes: Uint8Array): Promise<PutResult> {
  const { etag } = await provider.put(plan.key, bytes, plan.headers, plan.conditions, plan.signal)
  return { etag, size: bytes.length }
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
      const first = await raceAbort(reader.fill(Buffer.allocUnsafe(firstSize)), signal)
      if (await raceAbort(reader.ended(), signal)) {
        checkSize(size, first.length)
        return await putWhole(provider, plan, first)
      }
      if (size !== undefined && first.length >= size) throw wrongSize()
      refuseConditions(provider, plan)
      return await putParts(provider, budget, plan, reader, partSize, {
        block: first,
        release: grant.release,
      })
    } finally {
      grant.release()
    }
  } finally {
    await reader.cancel()
  }
}

async function putParts(
  provider: Provider,
  budget: ByteBudget,
  plan: PutPlan,
  reader: BlockReader,
  partSize: number,
  first: { readonly block: Uint8Array; readonly release: () => void },
): Promise<PutResult> {
  const { key, size, signal, concurrency } = plan
  const uploadId = await provider.startMultipart(key, plan.headers, signal)
  // One part that fails ends them all: the others would only be paid for.
  const failed = new AbortController()
  const inner = signal ? AbortSignal.any([signal, failed.signal]) : failed.signal
  const limit = pLimit(concurrency)
  const sending: Promise<{ readonly partNumber: number; readonly etag: string }>[] = []
  const send = (block: Uint8Array, release: () => void) => {
    const partNumber = sending.length + 1
    const sent = limit(async () => {
      try {
        return { partNumber, ...(await provider.putPart(key, uploadId, partNumber, block, inner)) }
      } catch (error) {
        failed.abort(error)
        throw error
      } finally {
        release()
      }
    })
    sent.catch(() => {})
    sending.push(sent)
  }
  try {
    let total = first.block.length
    send(first.block, first.release)
    while (!(await raceAbort(reader.ended(), inner))) {
      if (sending.length === MAX_PARTS)
        throw wrongSize('put: a stream of unknown size is larger than 10,000 parts; state its size')
      const grant = await budget.acquire(partSize, inner)
      try {
        const block = await raceAbort(reader.fill(Buffer.allocUnsafe(partSize)), inner)
        total += block.length
        if (size !== undefined && total > size) throw wrongSize()
        send(block, grant.release)
      } catch (error) {
        grant.release()
        throw error
      }
    }
    checkSize(size, total)
    const parts = await Promise.all(sending)
    const { etag } = await provider.completeMultipart(key, uploadId, parts, plan.conditions, signal)
    return { etag, size: total }
  } catch (error) {
    failed.abort(error)
    await Promise.allSettled(sending)
    // Best effort, and not bound to the caller's signal: what stays behind is found by `sweep`.
    await provider.abortMultipart(key, uploadId).catch(() => {})
    throw error
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
