import type { GrantPermission, TemporaryCredentials } from './grant.ts'

/** What a provider can do beyond the common ground; asked before any I/O, and by the compiler where it knows. */
export interface Capabilities {
  /** Signed URLs, and with them uploads straight from browsers. */
  readonly signedUrls: boolean
  /** URLs without a signature, for everybody. */
  readonly publicUrls: boolean
  /** `ifMatch` and `ifNoneMatch` on a single-request `put`, decided atomically. */
  readonly conditionalPut: boolean
  /** The same when a large or unsized source is sent in parts. */
  readonly conditionalMultipart: boolean
  /** `ifMatch` on the source of a copy. */
  readonly conditionalCopy: boolean
  /** A SHA-256 sent along is checked by the provider before the object exists. */
  readonly verifiesSha256: boolean
  /** Temporary credentials for a part of the bucket, made without asking the provider. */
  readonly grants: boolean
  /** Largest object in bytes. */
  readonly maxObjectBytes: number
  /** Largest object in bytes that one request copies; larger ones are copied in parts. */
  readonly maxCopyBytes: number
}

/** An argument that a provider without the capability does not take. */
export type Needs<
  Can extends Capabilities,
  Name extends keyof Capabilities,
  Argument,
> = Can[Name] extends false ? Argument & Lacking<Name> : Argument

/** What the compiler shows of a call that the provider could only refuse. */
export interface Lacking<Name extends keyof Capabilities> {
  readonly 'the provider of this bucket lacks': Name
}

/** `true` or `false` as far as the compiler knows whether an option is given. */
export type Given<Value> = [Value] extends [undefined] ? false : undefined extends Value ? boolean : true

/** `true` or `false` as far as the compiler knows whether an option is switched on. */
export type IsTrue<Value> = [Value] extends [true] ? true : true extends Value ? boolean : false

/** An object without its bytes. */
export interface ObjectInfo {
  readonly key: string
  readonly size: number
  /** Without quotes. */
  readonly etag: string
  readonly lastModified: Date
}

export interface ObjectHead extends ObjectInfo {
  readonly contentType: string
  readonly contentDisposition: string | undefined
  readonly cacheControl: string | undefined
  /** Names in lower case. */
  readonly metadata: Readonly<Record<string, string>>
  /** @internal Which `put` wrote it, when that can be in doubt. */
  readonly writeId?: string | undefined
}

/** What is kept beside the bytes. */
export interface ObjectHeaders {
  readonly contentType: string
  readonly contentDisposition?: string | undefined
  readonly cacheControl?: string | undefined
  readonly metadata?: Readonly<Record<string, string>> | undefined
  /** Kept as metadata of its own, so that a write whose answer was lost can be recognized. */
  readonly writeId?: string | undefined
}

export interface Conditions {
  readonly ifMatch?: string | undefined
  readonly ifNoneMatch?: '*' | undefined
}

/** Bytes from `start` to `end`, both included, or to the object's end. */
export interface ByteRange {
  readonly start: number
  readonly end?: number | undefined
}

export interface ListPage {
  readonly objects: readonly ObjectInfo[]
  readonly next: string | undefined
}

export interface StoredPart {
  readonly partNumber: number
  readonly size: number
  readonly etag: string
  /** Base64, when the part was sent with it and the provider keeps it. */
  readonly sha256?: string | undefined
}

export interface OpenUpload {
  readonly key: string
  readonly uploadId: string
  readonly startedAt: Date
}

/** What a signed URL is for. */
export interface SignRequest {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'DELETE'
  readonly key: string
  /** Whole seconds, 1 to 604,800. */
  readonly expires: number
  /** Headers that the sender must send exactly so; `host` is always signed. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly query?: Readonly<Record<string, string>> | undefined
}

export interface GrantRequest {
  readonly prefix: string
  readonly permission: GrantPermission
  /** Milliseconds. */
  readonly expiresIn: number
}

/**
 * One bucket at one provider. Methods throw `StorageError`s only; keys are checked already; what is passed as
 * `body` is not kept after the promise settled.
 */
export interface Provider {
  readonly name: string
  readonly capabilities: Capabilities
  /** Where everybody can read, without a slash at the end. Present when `publicUrls`. */
  readonly publicBaseUrl?: string | undefined
  put(
    key: string,
    body: Uint8Array,
    headers: ObjectHeaders,
    conditions: Conditions,
    signal?: AbortSignal,
  ): Promise<{ readonly etag: string }>
  /** `hashed`: every part will come with its SHA-256. */
  startMultipart(key: string, headers: ObjectHeaders, signal?: AbortSignal, hashed?: boolean): Promise<string>
  putPart(
    key: string,
    uploadId: string,
    partNumber: number,
    body: Uint8Array,
    signal?: AbortSignal,
  ): Promise<{ readonly etag: string }>
  listParts(key: string, uploadId: string, signal?: AbortSignal): Promise<readonly StoredPart[]>
  completeMultipart(
    key: string,
    uploadId: string,
    parts: readonly Omit<StoredPart, 'size'>[],
    conditions: Conditions,
    signal?: AbortSignal,
  ): Promise<{ readonly etag: string }>
  abortMultipart(key: string, uploadId: string, signal?: AbortSignal): Promise<void>
  openUploads(prefix: string, signal?: AbortSignal): AsyncIterable<OpenUpload>
  get(
    key: string,
    options: { readonly range?: ByteRange | undefined; readonly ifMatch?: string | undefined },
    signal?: AbortSignal,
  ): Promise<{ readonly head: ObjectHead; readonly body: AsyncIterable<Uint8Array> }>
  head(key: string, signal?: AbortSignal): Promise<ObjectHead>
  list(
    options: { readonly prefix: string; readonly limit: number; readonly after?: string | undefined },
    signal?: AbortSignal,
  ): Promise<ListPage>
  /** The failure of each key that could not be deleted; an absent object counts as deleted. At most 1,000 keys. */
  deleteMany(keys: readonly string[], signal?: AbortSignal): Promise<ReadonlyMap<string, Error>>
  copy(
    from: string,
    to: string,
    headers: ObjectHeaders | undefined,
    conditions: { readonly ifMatch?: string | undefined },
    signal?: AbortSignal,
  ): Promise<{ readonly etag: string }>
  /** Copies bytes of an object into a part; needed only above `maxCopyBytes`. */
  copyPart?(
    from: string,
    to: string,
    uploadId: string,
    partNumber: number,
    range: Required<ByteRange>,
    ifMatch: string,
    signal?: AbortSignal,
  ): Promise<{ readonly etag: string }>
  sign(request: SignRequest): string
  /** Present when `grants`. */
  grant?(request: GrantRequest): TemporaryCredentials
  close(): Promise<void>
}
