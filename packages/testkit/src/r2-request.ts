import type { R2Body } from './r2-body.ts'
import type { R2Headers } from './r2-headers.ts'
import type { R2Identity } from './r2-identity.ts'
import type { R2Operation } from './r2-operation.ts'
import type { R2Store } from './r2-store.ts'
import type { R2Target } from './r2-uri.ts'

/** A request that has passed: its signature is verified and its operation is permitted. */
export interface R2Request {
  readonly operation: R2Operation
  readonly target: R2Target
  /** Signed headers, and the `x-amz-*` headers a presigned URL carries in its query. */
  readonly headers: R2Headers
  readonly identity: R2Identity
  readonly store: R2Store
  /** ms since the epoch, by the server's clock */
  readonly now: number
  /** The address the client used, for absolute links in answers. */
  readonly origin: string
  /** Settles how the payload is to be received. @throws S3Error when its headers make no sense */
  body(): R2Body
}

/** An answer: XML, or a stream of content, or neither. */
export interface R2Reply {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly xml?: string
  readonly content?: AsyncGenerator<Buffer, void, undefined>
}

/** Carries out one operation. */
export type R2Handler = (request: R2Request) => Promise<R2Reply> | R2Reply
