/** One server in a process of its own: a node of several that share a Redis. */
import { type Dialect, servers } from './serve.ts'

const [dialect = '', redisUrl = '', prefix = 'rt'] = process.argv.slice(2)
const serve = servers[dialect as Dialect]
const { url } = await serve({ redisUrl, prefix })
process.on('disconnect', () => process.exit(0))
process.send?.({ url })
