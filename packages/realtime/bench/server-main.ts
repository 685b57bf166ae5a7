/** One server in a process of its own: a node of several that share a Redis. */
import { type ServerName, servers } from './serve.ts'

const [name = '', redisUrl = '', prefix = 'rt'] = process.argv.slice(2)
const serve = servers[name as ServerName]
const { url } = await serve({ redisUrl, prefix })
process.on('disconnect', () => process.exit(0))
process.send?.({ url })
