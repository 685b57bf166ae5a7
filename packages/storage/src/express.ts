import { OptionReader } from '@cays/core/options'
import type { Request, RequestHandler, Response } from 'express'
import type { Bucket } from './bucket.ts'
import type { Storage } from './create-storage.ts'
import type { UploadDefinition } from './define-upload.ts'
import { StorageError, StorageUsageError } from './errors.ts'
import type { ByteRange } from './provider.ts'
import { serveObject } from './serve-object.ts'
import type { RefusalReason, UploadedObject } from './upload-types.ts'

/** What `expressUploads` needs. */
export interface ExpressUploadsOptions {
  /** The storage whose `uploads` are offered. */
  readonly storage: Pick<Storage, 'uploads'>
  /** Kinds of upload by the name they have in the path. */
  readonly uploads: Readonly<Record<string, UploadDefinition>>
  /** Who asks: the id of the account that is signed in; `undefined` is answered with 401. */
  readonly subject: (request: Request) => string | undefined | Promise<string | undefined>
  /**
   * Called when a file was proven and has its key: the place to store it. The browser gets what it answers. It may
   * be called again for the same object, when an answer was lost.
   */
  readonly completed?: (object: UploadedObject, request: Request, upload: string) => unknown
  /** Read the whole object again to check its SHA-256 where the provider cannot. @default false */
  readonly reread?: boolean
}

type Step = 'issue' | 'resume' | 'complete' | 'abort'

const STEP = /^\/([^/]+)\/(issue|resume|complete|abort)\/?$/
const MAX_BODY = 2 ** 20
const STATUSES: Partial<Record<RefusalReason, number>> = { missing: 409, expired: 410 }

/**
 * The routes behind `uploadEndpoint` of `/browser`: `app.use('/uploads', expressUploads({ … }))` answers
 * `POST /uploads/<name>/issue`, `resume`, `complete` and `abort`. They take JSON alone, which a form of another
 * site cannot send. A refusal is 422 (409 `missing`, 410 `expired`) with its reason; failures go to `next(error)`.
 */
export function expressUploads(options: ExpressUploadsOptions): RequestHandler {
  const read = reader('expressUploads')
  read.known(options, ['storage', 'uploads', 'subject', 'completed', 'reread'])
  const { completed, reread } = options
  const { uploads } = read.required('storage', options.storage)
  const definitions = new Map(Object.entries(read.required('uploads', options.uploads)))
  const subjectOf = read.required('subject', options.subject)

  const answer = async (definition: UploadDefinition, name: string, step: Step, request: Request) => {
    const subject = await subjectOf(request)
    if (subject === undefined) return refusal(401, 'subject', 'Sign in first.')
    const body = await bodyOf(request)
    if (!body) return refusal(400, 'request', 'The request must be JSON.')
    const token = String(body.token ?? '')
    if (step === 'abort') {
      await uploads.abort(definition, { token, subject })
      return { status: 200, json: { ok: true } }
    }
    if (step === 'complete') {
      const done = await uploads.complete(definition, { token, subject, ...(reread ? { reread } : {}) })
      if (!done.ok) return { status: STATUSES[done.reason] ?? 422, json: done }
      const result = completed ? await completed(done.object, request, name) : done.object
      return { status: 200, json: { ok: true, result } }
    }
    const partSha256 = body.partSha256 as readonly string[] | undefined
    const partMd5 = body.partMd5 as readonly string[] | undefined
    const issued =
      step === 'resume'
        ? await uploads.resume(definition, { token, subject, partSha256, partMd5 })
        : await uploads.issue(definition, {
            subject,
            name: String(body.name ?? ''),
            size: Number(body.size),
            type: String(body.type ?? ''),
            sha256: body.sha256 as string | undefined,
            md5: body.md5 as string | undefined,
            partSha256,
            partMd5,
          })
    return { status: issued.ok ? 200 : (STATUSES[issued.reason] ?? 422), json: issued }
  }

  return (request, response, next) => {
    const [, name = '', step] = STEP.exec(request.path) ?? []
    const definition = definitions.get(name)
    if (request.method !== 'POST' || !definition || !step) return next()
    answer(definition, name, step as Step, request)
      .catch((error: unknown) => {
        // What the browser sent is no fault of the app.
        if (error instanceof StorageUsageError) return refusal(400, 'request', 'The request is not valid.')
        throw error
      })
      .then(({ status, json }) => {
        response.status(status).set('cache-control', 'no-store').json(json)
      })
      .catch(next)
  }
}

/** What `expressObject` needs. */
export interface ExpressObjectOptions {
  readonly bucket: Bucket
  /** Which object the request may have: decide here who may read what. `undefined` goes on to the next handler. */
  readonly key: (request: Request) => string | undefined | Promise<string | undefined>
  /** The name to save it under; makes the browser save instead of show. */
  readonly download?: (request: Request) => string | undefined
  /** @default what was stored with the object, else `private, no-cache` */
  readonly cacheControl?: string
}

/**
 * Streams objects through the app, for readers that get no signed URL: ranges, ETags and HEAD are answered, memory
 * stays flat at any size, and a type that could run scripts is given as a download in a sandbox. An object that is
 * not there goes on to the next handler; failures go to `next(error)`, in mid-body they break the connection.
 */
export function expressObject(options: ExpressObjectOptions): RequestHandler {
  const read = reader('expressObject')
  read.known(options, ['bucket', 'key', 'download', 'cacheControl'])
  const bucket = read.required('bucket', options.bucket)
  const keyOf = read.required('key', options.key)
  const { download, cacheControl } = options
  const serve = async (request: Request, response: Response): Promise<boolean> => {
    const key = await keyOf(request)
    if (key === undefined) return false
    const gone = new AbortController()
    response.once('close', () => gone.abort(new Error('the reader went away')))
    const { signal } = gone
    const object = {
      head: () => bucket.head(key, { signal }),
      get: async (range: ByteRange | undefined, ifMatch: string | undefined) => {
        const stored = await bucket.get(key, { range, ifMatch, signal })
        return { head: stored, body: stored.body }
      },
    }
    try {
      await serveObject(request, response, object, { download: download?.(request), cacheControl })
    } catch (error) {
      if (signal.aborted) return true
      if (error instanceof StorageError && error.code === 'STORAGE_ERR_NOT_FOUND') return false
      throw error
    }
    return true
  }
  return (request, response, next) => {
    if (request.method !== 'GET' && request.method !== 'HEAD') return next()
    serve(request, response).then(
      (served) => {
        if (!served) next()
      },
      (error: unknown) => {
        if (response.headersSent) response.destroy()
        else next(error)
      },
    )
  }
}

function refusal(status: number, reason: string, detail: string) {
  return { status, json: { ok: false, reason, detail } }
}

/** The body that `express.json()` has read, or that is read here. */
async function bodyOf(request: Request): Promise<Readonly<Record<string, unknown>> | undefined> {
  if (!request.is('application/json')) return undefined
  let body: unknown = request.body
  if (body === undefined && !request.readableEnded) {
    const chunks: Buffer[] = []
    let size = 0
    for await (const chunk of request) {
      size += chunk.length
      if (size > MAX_BODY) return undefined
      chunks.push(chunk)
    }
    try {
      body = JSON.parse(Buffer.concat(chunks).toString())
    } catch {
      return undefined
    }
  }
  return typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : undefined
}

function reader(subject: string): OptionReader {
  return new OptionReader(subject, (message) => new StorageUsageError('STORAGE_ERR_OPTION', message))
}
