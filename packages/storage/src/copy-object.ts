import { StorageError } from './errors.ts'
import { partSizeFor } from './part-plan.ts'
import type { ObjectHead, ObjectHeaders, Provider } from './provider.ts'

const AT_ONCE = 4

/**
 * Copies inside a bucket, in one request or in parts. Of a large object the source is looked at before and after:
 * a copy never mixes two versions of it, also where the provider does not decide `ifMatch` of a copy.
 */
export async function copyObject(
  provider: Provider,
  from: string,
  to: string,
  headers: ObjectHeaders | undefined,
  { ifMatch, size }: { readonly ifMatch?: string | undefined; readonly size?: number | undefined },
  signal?: AbortSignal,
): Promise<{ readonly etag: string }> {
  const { maxCopyBytes, maxObjectBytes } = provider.capabilities
  const small = (size ?? maxObjectBytes) <= maxCopyBytes
  const head = small ? undefined : await provider.head(from, signal)
  if (!head || head.size <= maxCopyBytes || !provider.copyPart) {
    return await provider.copy(from, to, headers, { ifMatch }, signal)
  }
  if (ifMatch !== undefined && ifMatch !== head.etag) throw replaced()
  const uploadId = await provider.startMultipart(to, headers ?? head, signal)
  const failed = new AbortController()
  const inner = signal ? AbortSignal.any([signal, failed.signal]) : failed.signal
  try {
    const etags = await copyParts(provider, head, to, uploadId, inner, failed)
    if ((await provider.head(from, signal)).etag !== head.etag) throw replaced()
    return await provider.completeMultipart(to, uploadId, etags, {}, signal)
  } catch (error) {
    // Best effort: what stays behind is found by `sweep`.
    await provider.abortMultipart(to, uploadId).catch(() => {})
    throw error
  }
}

async function copyParts(
  provider: Provider,
  head: ObjectHead,
  to: string,
  uploadId: string,
  signal: AbortSignal,
  failed: AbortController,
): Promise<readonly { readonly partNumber: number; readonly etag: string }[]> {
  const { maxCopyBytes } = provider.capabilities
  const partSize = Math.max(partSizeFor(head.size), Math.min(maxCopyBytes, LARGE_PART))
  const parts: { readonly partNumber: number; readonly etag: string }[] = []
  let next = 0
  const work = async () => {
    for (let at = next++; at * partSize < head.size; at = next++) {
      const range = { start: at * partSize, end: Math.min((at + 1) * partSize, head.size) - 1 }
      const copied = await provider.copyPart?.(head.key, to, uploadId, at + 1, range, head.etag, signal)
      if (copied) parts.push({ partNumber: at + 1, etag: copied.etag })
    }
  }
  await Promise.all(
    Array.from({ length: AT_ONCE }, () => work().catch((error: unknown) => failed.abort(error))),
  )
  signal.throwIfAborted()
  return parts.sort((a, b) => a.partNumber - b.partNumber)
}

/** No byte of a copied part passes through this process, so few and large ones are best. */
const LARGE_PART = 512 * 2 ** 20

function replaced(): StorageError {
  return new StorageError(
    'STORAGE_ERR_PRECONDITION',
    'copy: the source is not the object that was asked for, or was replaced meanwhile',
  )
}
