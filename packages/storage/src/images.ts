import { createHash } from 'node:crypto'
import { OptionReader } from '@cays/core/options'
import type { Sharp, SharpOptions } from 'sharp'
import type { Bucket } from './bucket.ts'
import { StorageError, StorageUsageError } from './errors.ts'
import { traced } from './telemetry.ts'

/** One smaller copy of a picture. */
export interface VariantOptions {
  /** Pixels; a smaller picture is not blown up. */
  readonly width: number
  /** Cuts to exactly this; without it the shape stays. */
  readonly height?: number
  /** AVIF is the smallest and takes twenty times as long as WebP. @default 'webp' */
  readonly format?: 'webp' | 'jpeg' | 'avif' | 'png'
  /** 1 to 100. @default 80 */
  readonly quality?: number
}

/** What `imageVariants` needs. */
export interface ImageVariantsOptions<Name extends string> {
  /** The `sharp` of the app. */
  readonly sharp: (input: Uint8Array, options: SharpOptions) => Sharp
  readonly variants: Readonly<Record<Name, VariantOptions>>
  /** First part of the variants' keys. @default 'variants' */
  readonly prefix?: string
  /** Larger pictures are refused before they are decoded. @default 40,000,000 */
  readonly maxPixels?: number
  /** Animations of more pictures are refused; of the others the first picture is used. @default 500 */
  readonly maxFrames?: number
  /** Pictures worked on at once; the others wait. @default 1 */
  readonly concurrency?: number
  /** Pictures that may wait; more are refused as `STORAGE_ERR_THROTTLED`. @default 1000 */
  readonly maxWaiting?: number
}

/** A variant that is in the bucket. */
export interface Variant {
  readonly key: string
  readonly type: string
}

/** Makes all variants of one object, or finds that they are there. */
export type MakeVariants<Name extends string> = (
  bucket: Bucket,
  key: string,
  options?: MakeVariantsOptions,
) => Promise<Readonly<Record<Name, Variant>>>

/** Where the variants of one picture go. */
export interface MakeVariantsOptions {
  /** E.g. a public bucket, while the original stays in a private one. @default the bucket of the picture */
  readonly to?: Bucket | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * Smaller copies of a picture, without its EXIF data, GPS position and profile, turned the right way up.
 *
 * A key is made of the picture's bytes and of what is asked for: the same again finds the variant there, a changed
 * picture gets new keys, so variants may be cached for ever. Call it from a job or after the answer was sent: the
 * work is done on sharp's threads, `concurrency` pictures at a time. The picture is read into memory whole, out of
 * `memoryBudget`'s limit for `bytes()`.
 *
 * @example
 * const variantsOf = imageVariants({ sharp, variants: { thumb: { width: 256 }, feed: { width: 1280 } } })
 * const { thumb } = await variantsOf(storage.bucket('private'), done.object.key, { to: storage.bucket('media') })
 */
export function imageVariants<const Name extends string>(
  options: ImageVariantsOptions<Name>,
): MakeVariants<Name> {
  const read = new OptionReader(
    'imageVariants',
    (message) => new StorageUsageError('STORAGE_ERR_OPTION', message),
  )
  read.known(options, ['sharp', 'variants', 'prefix', 'maxPixels', 'maxFrames', 'concurrency', 'maxWaiting'])
  const sharp = read.required('sharp', read.function('sharp', options.sharp))
  const variants = Object.entries<VariantOptions>(read.required('variants', options.variants)).map(
    ([name, variant]) => [name, readVariant(read, name, variant)] as const,
  )
  if (variants.length === 0) read.fail('variants must name at least one')
  const prefix = read.string('prefix', options.prefix, 'variants', /^[A-Za-z0-9][\w/-]{0,200}(?<!\/)$/)
  const maxPixels = read.integer('maxPixels', options.maxPixels, 40_000_000, { min: 1 })
  const maxFrames = read.integer('maxFrames', options.maxFrames, 500, { min: 1 })
  const enter = gate(
    read.integer('concurrency', options.concurrency, 1, { min: 1, max: 64 }),
    read.integer('maxWaiting', options.maxWaiting, 1_000),
  )

  const make = async (bucket: Bucket, key: string, { to = bucket, signal }: MakeVariantsOptions) => {
    const bytes = await (await bucket.get(key, { signal })).bytes()
    const digest = createHash('sha256').update(bytes).digest()
    const made: [string, Variant][] = []
    for (const [name, variant] of variants) {
      signal?.throwIfAborted()
      const asked = createHash('sha256').update(digest).update(JSON.stringify(variant)).digest('hex')
      const target = {
        key: `${prefix}/${asked.slice(0, 40)}.${variant.format}`,
        type: `image/${variant.format}`,
      }
      made.push([name, target])
      if (await to.exists(target.key, { signal })) continue
      const picture = await drawn(bytes, variant)
      await to.put(target.key, picture, {
        contentType: target.type,
        cacheControl: 'public, max-age=31536000, immutable',
        signal,
      })
    }
    return Object.fromEntries(made) as Readonly<Record<Name, Variant>>
  }

  const drawn = async (bytes: Uint8Array, { width, height, format, quality }: Required<VariantOptions>) => {
    try {
      const input = sharp(bytes, { limitInputPixels: maxPixels, failOn: 'error', sequentialRead: true })
      const { pages = 1 } = await input.metadata()
      if (pages > maxFrames) throw new Error('the animation has too many pictures')
      // `rotate` applies what the EXIF data says of the camera, which is then left out like all of it.
      return await input
        .rotate()
        .resize({ width, ...(height > 0 ? { height } : {}), withoutEnlargement: true })
        .toFormat(format, format === 'png' ? {} : { quality })
        .timeout({ seconds: 60 })
        .toBuffer()
    } catch (cause) {
      const message = 'the picture is too large, broken or of a type that sharp does not read'
      throw new StorageError('STORAGE_ERR_IMAGE', message, { cause })
    }
  }

  return (bucket, key, wishes = {}) =>
    traced('variants', bucket.instance, { 'cays.bucket': bucket.name }, async () => {
      const leave = await enter(wishes.signal)
      try {
        return await make(bucket, key, wishes)
      } finally {
        leave()
      }
    })
}

function readVariant(
  read: OptionReader,
  name: string,
  { width, height, format, quality }: VariantOptions,
): Required<VariantOptions> {
  return {
    width: read.integer(`variants.${name}.width`, read.required(`variants.${name}.width`, width), 0, {
      min: 1,
      max: 16_383,
    }),
    height: read.integer(`variants.${name}.height`, height, 0, { min: 1, max: 16_383 }),
    format: read.oneOf(`variants.${name}.format`, format, 'webp', ['webp', 'jpeg', 'avif', 'png']),
    quality: read.integer(`variants.${name}.quality`, quality, 80, { min: 1, max: 100 }),
  }
}

/** Lets so many in at once, and so many wait. */
function gate(concurrency: number, maxWaiting: number): (signal?: AbortSignal) => Promise<() => void> {
  const waiting: (() => void)[] = []
  let inside = 0
  const leave = () => {
    const next = waiting.shift()
    if (next) next()
    else inside--
  }
  return async (signal) => {
    signal?.throwIfAborted()
    if (inside < concurrency) {
      inside++
      return leave
    }
    if (waiting.length >= maxWaiting) {
      throw new StorageError(
        'STORAGE_ERR_THROTTLED',
        'too many pictures wait to be worked on; try again later',
      )
    }
    await new Promise<void>((resolve, reject) => {
      const enter = () => {
        signal?.removeEventListener('abort', abort)
        resolve()
      }
      const abort = () => {
        waiting.splice(waiting.indexOf(enter), 1)
        reject(signal?.reason)
      }
      signal?.addEventListener('abort', abort, { once: true })
      waiting.push(enter)
    })
    return leave
  }
}
