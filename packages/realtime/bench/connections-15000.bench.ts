import { defineCase } from '../../../bench/define-case.ts'
import { gather } from './audience.ts'
import { countingLag } from './counting-lag.ts'
import { serveCays } from './serve.ts'

const SOCKETS = 15_000
const SECONDS = 5

/** The event loop of a server that holds many connections, each of which beats once in five seconds. */
export const benchmark = defineCase({
  operation: `${SECONDS} s of holding ${SOCKETS.toLocaleString('en')} connections in one process`,
  contenders: [
    {
      name: '@cays/realtime',
      async prepare() {
        const { realtime, url, close } = await serveCays(undefined, { heartbeat: '5s' })
        const audience = await gather('cays', url, SOCKETS)
        const lag = countingLag()
        return {
          async run() {
            lag.p99()
            await new Promise((resolve) => setTimeout(resolve, SECONDS * 1_000))
            return { lag: lag.p99(), lost: SOCKETS - realtime.health().connections }
          },
          async close() {
            lag.stop()
            await audience.leave()
            await close()
          },
        }
      },
    },
  ],
  claims: [
    { figure: 'lag of the event loop, p99', must: { most: 20, unit: 'ms' }, by: 'lag' },
    { figure: 'connections that were lost', must: { most: 0.5, unit: 'connections' }, by: 'lost' },
  ],
  rounds: 5,
  warmUps: 1,
})
