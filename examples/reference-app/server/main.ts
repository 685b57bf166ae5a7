import { readConfig } from './config.ts'
import { startNode } from './node.ts'

const node = await startNode(readConfig(process.env))

// Whoever started this node may want to know its port when the system chose it.
process.send?.({ ready: node.port })

const leave = () => {
  node.close().then(
    () => process.exit(0),
    (error: unknown) => {
      process.stderr.write(`${error instanceof Error ? error.stack : error}\n`)
      process.exit(1)
    },
  )
}
process.on('SIGTERM', leave)
process.on('SIGINT', leave)
// A node whose parent died must not stay behind.
process.on('disconnect', leave)
