import { MULTIPART_ABOVE, partSizeFor } from './part-plan.ts'

/** What the server is told of a file before it is sent. */
export interface FileFacts {
  readonly name: string
  readonly size: number
  readonly type: string
  /** Absent on pages without HTTPS, where browsers do not hash. */
  readonly sha256?: string
  readonly partSha256?: readonly string[]
}

/** Reads the file once, and hashes it as it will be sent. */
export async function factsOf(file: File, signal: AbortSignal): Promise<FileFacts> {
  const facts = { name: file.name.slice(0, 200), size: file.size, type: file.type }
  if (!globalThis.crypto?.subtle) return facts
  if (file.size <= MULTIPART_ABOVE) return { ...facts, sha256: await sha256(file) }
  const partSha256: string[] = []
  const partSize = partSizeFor(file.size)
  for (let start = 0; start < file.size; start += partSize) {
    signal.throwIfAborted()
    partSha256.push(await sha256(file.slice(start, start + partSize)))
  }
  return { ...facts, partSha256 }
}

async function sha256(blob: Blob): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', await blob.arrayBuffer()))
  return btoa(String.fromCharCode(...digest))
}
