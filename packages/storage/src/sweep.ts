import { QUARANTINE } from './key.ts'
import type { Provider } from './provider.ts'
import { isOver } from './quarantine.ts'

/** What a sweep has done. */
export interface SweepReport {
  /** Quarantined objects that were deleted. */
  readonly objects: number
  /** Multipart uploads that were ended. */
  readonly uploads: number
  /** What could not be removed; the next sweep tries again. */
  readonly failures: readonly Error[]
}

export async function sweep(
  providers: readonly Provider[],
  before: Date,
  signal?: AbortSignal,
): Promise<SweepReport> {
  let objects = 0
  let uploads = 0
  const failures: Error[] = []
  for (const provider of providers) {
    let after: string | undefined
    do {
      const page = await provider.list({ prefix: QUARANTINE, limit: 1_000, after }, signal)
      const old = page.objects
        .filter((object) => object.lastModified < before && isOver(object.key, Date.now()))
        .map((object) => object.key)
      if (old.length > 0) {
        const failed = await provider.deleteMany(old, signal)
        failures.push(...failed.values())
        objects += old.length - failed.size
      }
      after = page.next
    } while (after !== undefined)
    // Also those of interrupted `put`s, wherever they were going.
    for await (const upload of provider.openUploads('', signal)) {
      if (upload.startedAt >= before) continue
      if (upload.key.startsWith(QUARANTINE) && !isOver(upload.key, Date.now())) continue
      try {
        await provider.abortMultipart(upload.key, upload.uploadId, signal)
        uploads++
      } catch (error) {
        signal?.throwIfAborted()
        failures.push(error as Error)
      }
    }
  }
  return { objects, uploads, failures }
}
