/** The R2 emulator in a process of its own; the first argument limits the bytes per second of each download. */
import { startR2 } from '@cays/testkit'

const speed = Number(process.argv[2] ?? 0)
const server = await startR2({
  buckets: ['files'],
  faults: speed > 0 ? [{ operation: 'GetObject', bytesPerSecond: speed }] : [],
})
const { url, accountId, accessKeyId, secretAccessKey } = server
process.on('disconnect', () => void server.close().finally(() => process.exit(0)))
process.send?.({ url, accountId, accessKeyId, secretAccessKey })
