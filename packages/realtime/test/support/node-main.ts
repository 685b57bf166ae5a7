import { Redis } from 'ioredis'
import { startLocalNode } from './local-node.ts'

const [url = '', options = '{}'] = process.argv.slice(2)
const redis = new Redis(url, { lazyConnect: true })
const node = await startLocalNode({
  redis,
  history: { size: 10_000 },
  checkInterval: 1_000,
  // Everybody is the same user, and those of the test before may not have been noticed to be gone.
  limits: { connectionsPerUser: 1_000 },
  ...JSON.parse(options),
})

process.on('message', async (message: { readonly drain?: number }) => {
  if (message.drain !== undefined) await node.realtime.drain({ over: message.drain })
  await node.close()
  process.exit(0)
})
process.send?.(node.port)
