import type { Duration } from '@cays/core/duration'
import { OptionReader } from '@cays/core/options'
import { StorageUsageError } from './errors.ts'
import type { ImageLimits } from './image-limits.ts'

/** What `inspect` says about an upload: fine, or why not. */
export type Verdict = { readonly ok: true } | { readonly ok: false; readonly reason: string }

/** What is known of an upload when it is inspected. */
export interface Inspected {
  readonly size: number
  readonly type: string
  /** The user's name for it; not verified in any way. */
  readonly name: string
  /** The bytes as they arrive, for a scanner; each call reads the object anew. */
  readonly read: () => AsyncIterable<Uint8Array>
  readonly signal: AbortSignal | undefined
}

/** What `defineUpload` needs. */
export interface UploadOptions {
  /** Part of the ticket: one for another purpose is refused. Letters, digits and hyphens. */
  readonly name: string
  /** Which of the storage's buckets. */
  readonly bucket: string
  /** Types that may come in, such as `['application/pdf', 'image/png']`. */
  readonly accept: readonly string[]
  readonly maxBytes: number
  /** How long the browser may start to send. @default '5m' */
  readonly expiresIn?: Duration | undefined
  /** How long after that the upload may still be completed. @default '1h' */
  readonly completeWithin?: Duration | undefined
  /** Largest images, judged by their headers; nothing is decoded. @default { maxPixels: 40_000_000, maxFrames: 500 } */
  readonly image?: Partial<ImageLimits> | undefined
  /** First part of the final key. @default the name */
  readonly prefix?: string | undefined
  /** Asked last, about bytes whose size and type are proven, e.g. a virus scanner. Throwing refuses for now. */
  readonly inspect?: ((upload: Inspected) => Verdict | Promise<Verdict>) | undefined
}

/** A kind of upload: what may come in, how large, where to. */
export interface UploadDefinition {
  readonly name: string
  readonly bucket: string
  readonly accept: readonly string[]
  readonly maxBytes: number
  readonly expiresIn: number
  readonly completeWithin: number
  readonly image: ImageLimits
  readonly prefix: string
  /** Asked last by `complete`. */
  readonly inspect: UploadOptions['inspect']
}

// They run scripts in the reader's browser when served from your origin.
const ACTIVE = new Set(['image/svg+xml', 'text/html', 'application/xhtml+xml', 'text/xml', 'application/xml'])
const TYPE = /^[a-z0-9][a-z0-9!#$&^_.+-]{0,60}\/[a-z0-9][a-z0-9!#$&^_.+-]{0,60}$/

/** Declares a kind of upload once, for `uploads.issue` and `uploads.complete`. */
export function defineUpload(options: UploadOptions): UploadDefinition {
  const read = new OptionReader(
    'defineUpload',
    (message) => new StorageUsageError('STORAGE_ERR_OPTION', message),
  )
  read.known(options, [
    'name',
    'bucket',
    'accept',
    'maxBytes',
    'expiresIn',
    'completeWithin',
    'image',
    'prefix',
    'inspect',
  ])
  if (options.image !== undefined) read.known(options.image, ['maxPixels', 'maxFrames'], 'image')
  const name = read.string('name', read.required('name', options.name), '', /^[A-Za-z0-9-]{1,40}$/)
  const accept = read.required('accept', options.accept)
  if (!Array.isArray(accept) || accept.length === 0) read.fail('accept must list at least one type')
  for (const type of accept) {
    if (typeof type !== 'string' || !TYPE.test(type))
      read.fail('accept must list types such as application/pdf')
    if (ACTIVE.has(type)) read.fail('accept must not list SVG, HTML or XML: they carry scripts')
  }
  if (options.prefix?.startsWith('quarantine') ?? name === 'quarantine')
    read.fail('prefix must not be the quarantine itself')
  return {
    name,
    bucket: read.string('bucket', read.required('bucket', options.bucket), ''),
    accept: [...accept],
    maxBytes: read.integer('maxBytes', read.required('maxBytes', options.maxBytes), 0, { min: 1 }),
    expiresIn: read.duration('expiresIn', options.expiresIn, 300_000, { min: 1_000, max: 7 * 86_400_000 }),
    completeWithin: read.duration('completeWithin', options.completeWithin, 3_600_000, {
      max: 7 * 86_400_000,
    }),
    image: {
      maxPixels: read.integer('image.maxPixels', options.image?.maxPixels, 40_000_000, { min: 1 }),
      maxFrames: read.integer('image.maxFrames', options.image?.maxFrames, 500, { min: 1 }),
    },
    prefix: read.string('prefix', options.prefix, name, /^[A-Za-z0-9][A-Za-z0-9/_-]{0,200}(?<!\/)$/),
    inspect: read.function('inspect', options.inspect),
  }
}
