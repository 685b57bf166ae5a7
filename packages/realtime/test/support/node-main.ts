import { Redis } from 'ioredis'
import { startLocalNode } from './local-node.ts'

const redis = new Redis(process.argv[2] ?? '', { lazyConnect: true })
const node = await startLocalNode({ redis, checkInterval: 1_000 })

process.on('message', async (message: { readonly drain: number }) => {
  await node.realtime.drain({ over: message.drain })
  await node.close()
  process.exit(0)
})
process.send?.(node.port)
