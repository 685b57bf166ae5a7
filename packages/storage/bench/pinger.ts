/** Asks a server every 5 ms, and tells the p99 of how long the answers took since the last question. */
import { Agent, get } from 'node:http'

const url = process.argv[2] ?? ''
const agent = new Agent({ keepAlive: true, maxSockets: 16 })
let times: number[] = []
setInterval(() => {
  const asked = performance.now()
  get(url, { agent }, (response) => {
    response.resume()
    response.once('end', () => times.push(performance.now() - asked))
  }).on('error', () => {})
}, 5)
process.on('message', () => {
  times.sort((a, b) => a - b)
  process.send?.({ p99: times[Math.floor(times.length * 0.99)] ?? 0 })
  times = []
})
process.on('disconnect', () => process.exit(0))
process.send?.({})
