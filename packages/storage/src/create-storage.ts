import type { Duration } from '@cays/core/duration'
import { type EventSource, Events } from '@cays/core/events'
import { type Closeable, Lifecycle } from '@cays/core/lifecycle'
import { OptionReader } from '@cays/core/options'
import { Bucket } from './bucket.ts'
import type { BucketSource } from './buckets.ts'
import { ByteBudget } from './byte-budget.ts'
import { StorageError, StorageUsageError } from './errors.ts'
import { MiB, PART_SIZE } from './part-plan.ts'
import type { Provider } from './provider.ts'
import { type SweepReport, sweep } from './sweep.ts'
import { traced } from './telemetry.ts'
import type { RefusalReason, UploadedObject } from './upload-types.ts'
import { Uploads } from './uploads.ts'

/** Buckets by the names the app gives them. */
export type BucketSources = Readonly<Record<string, BucketSource>>

/** What `createStorage` needs. */
export interface StorageOptions<Sources extends BucketSources = BucketSources> {
  /** Names this storage in telemetry. @default 'storage' */
  readonly name?: string | undefined
  /** The buckets, by the names the app gives them. */
  readonly buckets: Sources
  /** Bytes that all transfers of this storage together may hold in memory. @default 96 MiB */
  readonly memoryBudget?: number | undefined
  /** Signs upload tickets: at least 32 characters, the same on every node. Needed for `uploads` alone. */
  readonly ticketSecret?: string | undefined
  /** How long `close` waits for transfers under way. @default '10s' */
  readonly drain?: Duration | undefined
}

/** What a health page may show. */
export interface StorageHealth {
  readonly status: 'open' | 'closing' | 'closed'
  /** Calls under way. */
  readonly pending: number
  /** Bytes of `memoryBudget`, those in use, and transfers that wait for some. */
  readonly memory: { readonly total: number; readonly used: number; readonly waiting: number }
}

/** What counts as left behind. */
export interface SweepOptions {
  /** Uploads that were started longer ago than this and never completed are dropped. @default '1d' */
  readonly olderThan?: Duration | undefined
  readonly signal?: AbortSignal | undefined
}

/** What happens to uploads, for logs and counters. */
export type StorageEvents = {
  /** A file was proven and has its key; not told again when the same ticket is completed again. */
  readonly completed: { readonly upload: string; readonly bucket: string; readonly object: UploadedObject }
  /** A ticket or a file was refused. */
  readonly refused: { readonly upload: string; readonly bucket: string; readonly reason: RefusalReason }
  readonly swept: SweepReport
}

/** Buckets, and uploads into them. */
export interface Storage<
  Name extends string = string,
  Sources extends Readonly<Record<Name, BucketSource>> = Readonly<Record<Name, BucketSource>>,
> extends Closeable,
    EventSource<StorageEvents> {
  /** The bucket that the app gave this name. */
  bucket<One extends Name>(name: One): Bucket<Sources[One]['capabilities']>
  /** Uploads from browsers straight to a bucket; needs `ticketSecret`. */
  readonly uploads: Uploads
  /**
   * Drops what uploads left behind in every bucket: quarantined objects that nobody can complete any more, and parts
   * of interrupted transfers, when older than `olderThan`, which must be longer than any `put` takes. Run it about once an hour, on any node.
   */
  sweep(options?: SweepOptions): Promise<SweepReport>
  /** State of this storage and of its memory, without asking any provider. */
  health(): StorageHealth
}

/**
 * Buckets by name, one budget of memory for all their transfers, and uploads. Opens nothing yet: connections are
 * made by the first call. Options are checked here and throw `STORAGE_ERR_OPTION`.
 *
 * @example
 * const storage = createStorage({ buckets: { files: r2({ accountId, bucket: 'files', credentials }) } })
 * await storage.bucket('files').put('hello.txt', 'hello', { contentType: 'text/plain' })
 */
export function createStorage<Sources extends BucketSources>(
  options: StorageOptions<Sources>,
): Storage<keyof Sources & string, Sources> {
  const read = new OptionReader(
    'createStorage',
    (message) => new StorageUsageError('STORAGE_ERR_OPTION', message),
  )
  read.known(options, ['name', 'buckets', 'memoryBudget', 'ticketSecret', 'drain'])
  const sources = Object.entries<BucketSource>(read.required('buckets', options.buckets))
  if (sources.length === 0) read.fail('buckets must name at least one bucket')
  for (const [name, source] of sources) {
    if (typeof source?.open !== 'function')
      read.fail(`buckets.${name} must be made by r2(), s3(), disk() or memory()`)
  }
  if (options.ticketSecret !== undefined)
    read.string('ticketSecret', options.ticketSecret, '', /^[\s\S]{32,}$/)
  const budget = new ByteBudget(
    read.integer('memoryBudget', options.memoryBudget, 96 * MiB, { min: PART_SIZE, max: 2 ** 40 }),
  )
  const lifecycle = new Lifecycle({
    closed: () => new StorageError('STORAGE_ERR_CLOSED', 'the storage was closed before the call started'),
    drain: read.duration('drain', options.drain, 10_000),
  })
  const events = new Events<StorageEvents>()
  const instance = read.string('name', options.name, 'storage')
  const providers = new Map<string, Provider>()
  const buckets = new Map<string, Bucket>()
  for (const [name, source] of sources) {
    const provider = source.open()
    lifecycle.onClose(() => provider.close())
    providers.set(name, provider)
    buckets.set(name, new Bucket(instance, name, provider, budget, lifecycle))
  }
  return {
    uploads: new Uploads(instance, providers, options.ticketSecret, lifecycle, events),
    on: (name, listener) => events.on(name, listener),
    bucket(name) {
      const bucket = buckets.get(name)
      if (!bucket)
        throw new StorageUsageError('STORAGE_ERR_OPTION', 'bucket: this storage has no bucket of that name')
      return bucket
    },
    sweep({ olderThan, signal } = {}) {
      const age = read.duration('sweep: olderThan', olderThan, 86_400_000, { min: 60_000 })
      return lifecycle.run(async () => {
        const report = await traced('sweep', instance, {}, () =>
          sweep([...providers.values()], new Date(Date.now() - age), signal),
        )
        events.emit('swept', report)
        return report
      })
    },
    health: () => ({
      status: lifecycle.state,
      pending: lifecycle.pending,
      memory: { total: budget.total, used: budget.used, waiting: budget.waiting },
    }),
    close: () => lifecycle.close(),
    [Symbol.asyncDispose]: () => lifecycle.close(),
  }
}
