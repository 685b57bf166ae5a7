import { createStorage, r2 } from '@cays/storage'
import { start } from './child.ts'

interface Ready {
  readonly url: string
  readonly accountId: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

/** A storage whose bucket `files` is on an emulator in another process. */
export async function openStore(bytesPerSecond = 0) {
  const child = await start<Ready>('store.ts', String(bytesPerSecond))
  const { url: endpoint, accountId, accessKeyId, secretAccessKey } = child.ready
  const credentials = { accessKeyId, secretAccessKey }
  const storage = createStorage({
    buckets: { files: r2({ accountId, bucket: 'files', endpoint, credentials }) },
    ticketSecret: 'a secret of the benchmark, long enough',
  })
  return {
    storage,
    files: storage.bucket('files'),
    async close() {
      await storage.close()
      child.stop()
    },
  }
}
