import { tracingChannel } from 'node:diagnostics_channel'
import type { Operation } from '@cays/core/tracing'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { imageVariants } from '../../src/images.ts'
import { type Bucket, createStorage, memory, type Storage } from '../../src/index.ts'
import { animation, gif, png } from '../support/crafted-files.ts'

let storage: Storage<'media'>
let media: Bucket

/** A picture as a phone takes it: on its side, with its position. */
async function photo(width = 1_200, height = 900): Promise<Buffer> {
  const noise = { type: 'gaussian', mean: 128, sigma: 30 } as const
  return await sharp({ create: { width, height, channels: 3, background: '#888', noise } })
    .withExif({
      IFD0: { Copyright: 'Somebody' },
      IFD3: { GPSLatitudeRef: 'N', GPSLatitude: '51/1 30/1 0/1' },
    })
    .withMetadata({ orientation: 6 })
    .jpeg()
    .toBuffer()
}

beforeAll(async () => {
  storage = createStorage({ buckets: { media: memory() } })
  media = storage.bucket('media')
})
afterAll(async () => {
  await storage?.close()
})

describe('variants', () => {
  const variants = { thumb: { width: 256, height: 256 }, feed: { width: 640, format: 'jpeg' } } as const

  it('are smaller, upright, and without EXIF data and position', async () => {
    const original = await photo()
    expect((await sharp(original).metadata()).exif?.length).toBeGreaterThan(0)
    await media.put('photo', original, { contentType: 'image/jpeg' })
    const made = await imageVariants({ sharp, variants })(media, 'photo')
    const thumb = await (await media.get(made.thumb.key)).bytes()
    const feed = await media.get(made.feed.key)
    expect(await sharp(thumb).metadata()).toMatchObject({ width: 256, height: 256, format: 'webp' })
    const about = await sharp(await feed.bytes()).metadata()
    expect(about).toMatchObject({ width: 640, height: 853, format: 'jpeg' })
    expect([about.exif, about.icc, about.orientation]).toEqual([undefined, undefined, undefined])
    expect(feed).toMatchObject({
      contentType: 'image/jpeg',
      cacheControl: 'public, max-age=31536000, immutable',
    })
  })

  it('are made once: the same picture finds them there, another one or another wish gets other keys', async () => {
    await media.put('one', await photo(300, 200))
    await media.put('other', await photo(301, 200))
    let drawn = 0
    const counted = (...args: Parameters<typeof sharp>) => {
      drawn++
      return sharp(...args)
    }
    const variantsOf = imageVariants({ sharp: counted as typeof sharp, variants })
    const first = await variantsOf(media, 'one')
    expect(drawn).toBe(2)
    expect(await variantsOf(media, 'one')).toEqual(first)
    expect(drawn).toBe(2)
    const other = await variantsOf(media, 'other')
    const wider = await imageVariants({ sharp, variants: { thumb: { width: 257, height: 256 } } })(
      media,
      'one',
    )
    expect(new Set([first.thumb.key, other.thumb.key, wider.thumb.key]).size).toBe(3)
  })

  it('go to another bucket when asked, and are told on a channel', async () => {
    await using other = createStorage({
      buckets: { shown: memory({ url: 'http://cdn.test', public: true }) },
    })
    const shown = other.bucket('shown')
    const seen: Operation[] = []
    const subscribers = { asyncEnd: (message: unknown) => void seen.push({ ...(message as Operation) }) }
    const channel = tracingChannel('cays:storage:variants')
    channel.subscribe(subscribers as never)
    onTestFinished(() => void channel.unsubscribe(subscribers as never))
    await media.put('elsewhere', await photo(310, 200))
    const variantsOf = imageVariants({ sharp, variants })
    const { thumb } = await variantsOf(media, 'elsewhere', { to: shown })
    expect([await shown.exists(thumb.key), await media.exists(thumb.key)]).toEqual([true, false])
    expect(shown.publicUrl(thumb.key)).toBe(`http://cdn.test/${thumb.key}`)
    await expect(variantsOf(media, 'none')).rejects.toMatchObject({ code: 'STORAGE_ERR_NOT_FOUND' })
    const common = { instance: 'storage', attributes: { 'cays.bucket': 'media' } }
    expect(seen).toMatchObject([
      { ...common, outcome: 'ok' },
      { ...common, outcome: 'STORAGE_ERR_NOT_FOUND' },
    ])
  })

  it('are refused of bombs before they are decoded, and of what is no picture', async () => {
    const variantsOf = imageVariants({ sharp, variants, maxPixels: 1_000_000, maxFrames: 20 })
    for (const bytes of [png(16_000, 16_000), gif(100), Buffer.from('no picture'), png(2, 2, animation(3))]) {
      await media.put('bomb', bytes)
      await expect(variantsOf(media, 'bomb')).rejects.toMatchObject({ code: 'STORAGE_ERR_IMAGE' })
    }
  })

  it('wait their turn, up to a limit, and leave the queue when the caller does', async () => {
    await media.put('queued', await photo(400, 300))
    const variantsOf = imageVariants({ sharp, variants: { a: { width: 50 } }, maxWaiting: 2 })
    const controller = new AbortController()
    const running = [
      variantsOf(media, 'queued'),
      variantsOf(media, 'queued', { signal: controller.signal }),
      variantsOf(media, 'queued'),
    ]
    await expect(variantsOf(media, 'queued')).rejects.toMatchObject({ code: 'STORAGE_ERR_THROTTLED' })
    controller.abort('enough')
    const [first, aborted, last] = await Promise.allSettled(running)
    expect(aborted).toMatchObject({ status: 'rejected', reason: 'enough' })
    expect(first).toMatchObject({ status: 'fulfilled' })
    expect(last).toEqual(first)
  })
})
