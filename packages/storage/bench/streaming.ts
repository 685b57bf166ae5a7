import { Readable } from 'node:stream'
import { createStorage, r2 } from '@cays/storage'
import { type BenchmarkCase, type Contender, defineCase, type Measures } from '../../../bench/define-case.ts'
import { peer } from '../../../bench/peer.ts'
import { start } from './child.ts'

interface S3Module {
  readonly S3Client: new (options: object) => { destroy(): void }
}
interface LibStorageModule {
  readonly Upload: new (options: object) => { done(): Promise<unknown> }
}

/** A way to send one stream of so many bytes. */
type Send = (key: string, source: AsyncIterable<Uint8Array>, size: number) => Promise<unknown>

const MiB = 2 ** 20
const PART = 8 * MiB
const CHUNK = Buffer.alloc(65_536, 'x')
const SAMPLE_EVERY = 50
const bucket = 'files'
const credentials = { accessKeyId: 'id', secretAccessKey: 'secret' }

/** How long one upload stood still, seen from its source: before it was asked at all, or between two questions. */
class Wait {
  longest = 0
  asked: number = performance.now()
}

async function* source(size: number, wait: Wait) {
  for (let left = size; left > 0; left -= CHUNK.length) {
    const now = performance.now()
    wait.longest = Math.max(wait.longest, now - wait.asked)
    wait.asked = now
    yield CHUNK.subarray(0, Math.min(left, CHUNK.length))
  }
}

function residentMiB(): number {
  return process.memoryUsage().rss / MiB
}

/** Sends all streams at once. `growth`: MiB above what the process held before the first round. */
function allAtOnce(uploads: number, size: number, send: Send, before: number): () => Promise<Measures> {
  return async () => {
    let peak = 0
    const sampling = setInterval(() => {
      peak = Math.max(peak, residentMiB())
    }, SAMPLE_EVERY)
    const started = performance.now()
    const waits = await Promise.all(
      Array.from({ length: uploads }, async (_, index) => {
        const wait = new Wait()
        await send(`stream/${index}`, source(size, wait), size)
        return wait.longest
      }),
    )
    clearInterval(sampling)
    const share = (performance.now() - started) / Math.ceil(size / PART)
    return { growth: peak - before, unfairness: Math.max(...waits) / share }
  }
}

/** Warmed up by one upload, so that what is loaded and compiled does not count. */
async function warm(send: Send): Promise<number> {
  await send('warm-up', source(PART + 1, new Wait()), PART + 1)
  globalThis.gc?.()
  return residentMiB()
}

function ours(uploads: number, size: number): Contender {
  return {
    name: '@cays/storage',
    async prepare() {
      const sink = await start<{ url: string }>('sink.ts')
      const storage = createStorage({
        buckets: { files: r2({ accountId: 'a', bucket, endpoint: sink.ready.url, credentials }) },
      })
      const files = storage.bucket('files')
      // A `put` that knows the size needs no more memory than that; large ones are sent without it.
      const send: Send = (key, stream, bytes) => files.put(key, stream, bytes > PART ? {} : { size: bytes })
      return {
        run: allAtOnce(uploads, size, send, await warm(send)),
        async close() {
          await storage.close()
          sink.stop()
        },
      }
    },
  }
}

function libStorage(uploads: number, size: number): Contender {
  return {
    name: '@aws-sdk/lib-storage',
    async prepare() {
      const { S3Client } = await peer<S3Module>('@aws-sdk/client-s3')
      const { Upload } = await peer<LibStorageModule>('@aws-sdk/lib-storage')
      const sink = await start<{ url: string }>('sink.ts')
      const client = new S3Client({
        endpoint: sink.ready.url,
        region: 'auto',
        credentials,
        forcePathStyle: true,
        requestChecksumCalculation: 'WHEN_REQUIRED',
        responseChecksumValidation: 'WHEN_REQUIRED',
      })
      const send: Send = (Key, stream) =>
        new Upload({ client, params: { Bucket: bucket, Key, Body: Readable.from(stream) } }).done()
      return {
        run: allAtOnce(uploads, size, send, await warm(send)),
        close() {
          client.destroy()
          sink.stop()
        },
      }
    },
  }
}

/** How much memory streams need that are all sent at once to a store that takes 200 ms for each part. */
export function streaming(uploads: number, mebibytes: number): Required<BenchmarkCase> {
  const size = mebibytes * MiB
  const what = `${uploads} × ${mebibytes} MiB`
  return defineCase({
    operation: `${what} streamed at once, 200 ms for each part`,
    contenders: [ours(uploads, size), libStorage(uploads, size)],
    claims: [
      { figure: `resident memory added by ${what} at once`, must: { most: 192, unit: 'MiB' }, by: 'growth' },
      {
        figure: `longest wait of one of ${what}, of its fair share`,
        must: { most: 3, unit: '×' },
        by: 'unfairness',
      },
    ],
    rounds: 5,
    warmUps: 1,
  })
}
