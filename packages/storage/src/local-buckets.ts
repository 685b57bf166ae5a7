import { randomBytes } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { resolve } from 'node:path'
import { OptionReader } from '@cays/core/options'
import type { BucketSource } from './buckets.ts'
import { DiskStore } from './disk-store.ts'
import { StorageUsageError } from './errors.ts'
import { handleLocal } from './local-handler.ts'
import { LocalProvider } from './local-provider.ts'
import type { LocalStore } from './local-store.ts'
import { MemoryStore } from './memory-store.ts'
import { Presigner } from './presign.ts'
import type { Capabilities, Given, IsTrue } from './provider.ts'

interface LocalOptions {
  /** Where `handler` is mounted, e.g. `http://localhost:3000/files`. @default none: no signed URLs, no uploads */
  readonly url?: string | undefined
  /** Lets `handler` give every object to everybody, as the custom domain of a public bucket does. @default false */
  readonly public?: boolean | undefined
}

/** A bucket of this machine, as the compiler knows it. */
export type LocalCapabilities<
  SignedUrls extends boolean = boolean,
  PublicUrls extends boolean = boolean,
> = Capabilities & {
  readonly signedUrls: SignedUrls
  readonly publicUrls: PublicUrls
  readonly grants: false
}

/** Where a bucket's folder is, and who serves it. */
export interface DiskOptions extends LocalOptions {
  /** The folder, made by the first write; nothing else may write in it. */
  readonly root: string
  /** Signs URLs: at least 32 characters, the same on every node. Needed with `url`. */
  readonly secret?: string | undefined
}

/** A bucket in this process. */
export interface MemoryOptions extends LocalOptions {
  /** Refuses to hold more. @default 256 MiB */
  readonly maxBytes?: number | undefined
}

/** A bucket without a provider. */
export interface LocalBucketSource<Can extends Capabilities = LocalCapabilities> extends BucketSource<Can> {
  /**
   * Serves the signed URLs of this bucket: `app.use('/files', source.handler)`, or `http.createServer`. It
   * accepts what was signed, as R2 would: exact size, type, SHA-256, write-once, expiry.
   */
  readonly handler: (request: IncomingMessage, response: ServerResponse) => void
}

/**
 * A bucket in a folder of this machine: for development, tests and single servers. The same signed URLs, tickets,
 * conditions and multipart uploads as on R2. A list reads the end of every file, so it suits thousands of objects,
 * not millions. Several processes may share the folder; `ifMatch` is then decided among the writers of one
 * process only. Nothing is synced to the platter: a power cut may lose recent writes.
 */
export function disk<
  const Url extends string | undefined = undefined,
  const Public extends boolean | undefined = undefined,
>(
  options: DiskOptions & { readonly url?: Url; readonly public?: Public },
): LocalBucketSource<LocalCapabilities<Given<Url>, IsTrue<Public>>> {
  const read = reader('disk')
  read.known(options, ['root', 'url', 'public', 'secret'])
  const root = resolve(read.string('root', read.required('root', options.root), '', /^[^\0]+$/))
  const secret =
    options.url === undefined
      ? ''
      : read.string('secret', read.required('secret', options.secret), '', /^[\s\S]{32,}$/)
  const bucket = { name: 'disk', store: new DiskStore(root), maxObjectBytes: 2 ** 43, secret } as const
  return local(read, bucket, options) as LocalBucketSource<LocalCapabilities<Given<Url>, IsTrue<Public>>>
}

/** A bucket in the memory of this process, for tests; gone with it. */
export function memory<
  const Url extends string | undefined = undefined,
  const Public extends boolean | undefined = undefined,
>(
  options: MemoryOptions & { readonly url?: Url; readonly public?: Public } = {},
): LocalBucketSource<LocalCapabilities<Given<Url>, IsTrue<Public>>> {
  const read = reader('memory')
  read.known(options, ['url', 'public', 'maxBytes'])
  const maxBytes = read.integer('maxBytes', options.maxBytes, 2 ** 28, { min: 1 })
  const secret = randomBytes(32).toString('base64')
  const bucket = {
    name: 'memory',
    store: new MemoryStore(maxBytes),
    maxObjectBytes: maxBytes,
    secret,
  } as const
  return local(read, bucket, options) as LocalBucketSource<LocalCapabilities<Given<Url>, IsTrue<Public>>>
}

interface LocalBucket {
  readonly name: 'disk' | 'memory'
  readonly store: LocalStore
  readonly maxObjectBytes: number
  readonly secret: string
}

function local(
  read: OptionReader,
  { name, store, maxObjectBytes, secret }: LocalBucket,
  { url: address, public: isPublic }: LocalOptions,
): LocalBucketSource {
  const open = read.boolean('public', isPublic, false)
  if (open && address === undefined) read.fail('public needs url')
  if (address !== undefined && !/^https?:\/\/[^?#]+$/.test(read.string('url', address, ''))) {
    read.fail('url must be one such as http://localhost:3000/files')
  }
  const presigner =
    address === undefined
      ? undefined
      : new Presigner(address, '', 'local', { accessKeyId: 'local', secretAccessKey: secret })
  const publicBaseUrl = open ? address?.replace(/\/+$/, '') : undefined
  const provider = new LocalProvider({ name, store, presigner, publicBaseUrl, maxObjectBytes })
  const url = address === undefined ? undefined : new URL(address)
  return {
    capabilities: provider.capabilities,
    open: () => provider,
    handler: (request, response) => {
      if (!presigner || !url) {
        throw new StorageUsageError('STORAGE_ERR_UNSUPPORTED', 'handler: the bucket needs the option url')
      }
      void handleLocal({ url, presigner, provider }, request, response)
    },
  }
}

function reader(subject: string): OptionReader {
  return new OptionReader(subject, (message) => new StorageUsageError('STORAGE_ERR_OPTION', message))
}
