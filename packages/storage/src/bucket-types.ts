import type { Duration } from '@cays/core/duration'
import type { GrantPermission } from './grant.ts'
import type { Capabilities, Needs, ObjectHead } from './provider.ts'

/** What every call takes. */
export interface Call {
  /** Ends the call; it rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined
}

/** What is kept beside the bytes, and when to write at all. */
export interface PutOptions<Can extends Capabilities = Capabilities> extends Call {
  /** Bytes of a stream, when known: checked, and saves memory and requests. */
  readonly size?: number | undefined
  /** @default 'application/octet-stream' */
  readonly contentType?: string | undefined
  /** File name that a browser saves the object under. */
  readonly download?: string | undefined
  /** The `Cache-Control` that readers of the object get. */
  readonly cacheControl?: string | undefined
  /** Lower-case names; at most 2 KiB in all. */
  readonly metadata?: Readonly<Record<string, string>> | undefined
  /** Write only when nothing has this key yet. */
  readonly ifNoneMatch?: Needs<Can, 'conditionalPut', '*'> | undefined
  /** Write only over the object with this ETag. */
  readonly ifMatch?: Needs<Can, 'conditionalPut', string> | undefined
  /** Parts of a large object under way at once. @default 4 */
  readonly concurrency?: number | undefined
  /** How long the source may give nothing before it counts as failed: it holds memory meanwhile. @default '30s' */
  readonly sourceTimeout?: Duration | undefined
}

/** Which bytes, of which version. */
export interface GetOptions extends Call {
  /** First and last byte, both included. */
  readonly range?: { readonly start: number; readonly end?: number | undefined } | undefined
  /** Give the object only while it has this ETag. */
  readonly ifMatch?: string | undefined
}

/** An object and its bytes, which arrive as they are read. Read them to the end, or break the loop. */
export interface StoredObject extends ObjectHead {
  /**
   * Goes on by itself where a connection broke; fails rather than end early or mix two objects. Read it once.
   */
  readonly body: AsyncIterable<Uint8Array>
  /** All of them at once; refused when they are more than the storage's `memoryBudget`. */
  bytes(): Promise<Buffer>
  /** The same as UTF-8. */
  text(): Promise<string>
}

/** How to read a large object. */
export interface DownloadOptions extends Call {
  /** Ranges under way at once. @default 8 */
  readonly connections?: number | undefined
  /** Bytes of one range. @default 4 MiB */
  readonly partSize?: number | undefined
  /** Give the object only while it has this ETag. */
  readonly ifMatch?: string | undefined
}

/** Where to put it. */
export interface DownloadToOptions extends DownloadOptions {
  /** A file, which appears when all of the object is there. */
  readonly to: string
}

/** An object that was written to a file. */
export interface Downloaded extends ObjectHead {
  /** Bytes that an earlier, interrupted download had left and that were not fetched again. */
  readonly resumed: number
}

/** Which objects to list. */
export interface ListOptions extends Call {
  /** Only keys that start with this. @default '' */
  readonly prefix?: string | undefined
  /** Objects asked for per request, 1 to 1,000. @default 1000 */
  readonly pageSize?: number | undefined
}

/** How the deletion of one key ended. */
export interface DeleteOutcome {
  readonly key: string
  /** Absent when the object is gone. */
  readonly error?: Error
}

/** When to copy. */
export interface CopyOptions<Can extends Capabilities = Capabilities> extends Call {
  /** Copy only while the source has this ETag. */
  readonly ifMatch?: Needs<Can, 'conditionalCopy', string> | undefined
}

interface SignOptions {
  /** From a second to seven days. @default '5m' */
  readonly expiresIn?: Duration | undefined
}

/** A URL that reads. */
export interface SignGetOptions extends SignOptions {
  readonly method?: 'GET' | undefined
  /** Makes the browser save the object under this name. */
  readonly download?: string | undefined
  /** Overrides the stored type in the answer. */
  readonly contentType?: string | undefined
}

/** A URL that writes one object of known size and type. */
export interface SignPutOptions extends SignOptions {
  readonly method: 'PUT'
  /** The sender must send exactly this many bytes. */
  readonly size: number
  /** The sender must send exactly this type. */
  readonly contentType: string
  /** Refuse to overwrite. @default false */
  readonly writeOnce?: boolean | undefined
}

/** What the sender of a signed write needs. */
export interface SignedPut {
  readonly url: string
  /** To be sent exactly so; browsers add Content-Length themselves. */
  readonly headers: Readonly<Record<string, string>>
}

/** Which part of a bucket, and for how long. */
export interface GrantOptions {
  /** Keys that start with this, such as `exports/7/`. */
  readonly prefix: string
  /** @default 'object-read-only' */
  readonly permission?: GrantPermission | undefined
  /** From a second to seven days. @default '15m' */
  readonly expiresIn?: Duration | undefined
}
