import { Redis } from 'ioredis'
import { defineCase } from '../../../bench/define-case.ts'
import { startChild } from './child.ts'
import { serveCays } from './serve.ts'

const SOCKETS = 5_000
const ROOMS = 10
const MESSAGES = 20

/**
 * 5,000 clients in ten rooms whose node is killed: while they are away more is published, and all come to a node that
 * has none of the rooms in the same moment. Redis counts its reads of histories itself.
 */
export const benchmark = defineCase({
  operation: `${SOCKETS.toLocaleString('en')} clients coming from a killed node to another at once`,
  needs: { redis: true },
  contenders: [
    {
      name: '@cays/realtime',
      async prepare({ redisUrl }) {
        const prefix = `storm${process.pid}`
        const redis = new Redis(redisUrl)
        const { realtime, url, close } = await serveCays({ redisUrl, prefix })
        const reads = async () =>
          Number(/cmdstat_xrange:calls=(\d+)/.exec(await redis.info('commandstats'))?.[1] ?? 0)
        let run = 0
        async function storm() {
          run++
          const rooms = Array.from({ length: ROOMS }, (_, n) =>
            realtime.room('job:{id}', { id: `${run}-${n}` }),
          )
          const publish = () =>
            Promise.all(
              rooms.flatMap((room) => Array.from({ length: MESSAGES }, () => room.publish('updated', run))),
            )
          const doomed = startChild('server-main.ts', ['cays', redisUrl, prefix])
          const clients = startChild('storm-main.ts', [`${SOCKETS}`, `${ROOMS}`, `${run}`])
          const first = await doomed.told<{ url: string }>()
          clients.send({ url: first.url, together: 100 })
          await clients.told()
          clients.send({ offset: MESSAGES })
          await publish()
          await clients.told()
          await doomed.kill()
          await publish()
          const before = await reads()
          const started = performance.now()
          clients.send({ url, together: SOCKETS })
          const { gaps } = await clients.told<{ gaps: number }>()
          clients.send({ offset: 2 * MESSAGES })
          await clients.told()
          const seconds = (performance.now() - started) / 1_000
          const perRoom = ((await reads()) - before) / ROOMS
          await clients.end()
          return { perRoom, gaps, seconds }
        }
        return {
          run: storm,
          async close() {
            await close()
            redis.disconnect()
          },
        }
      },
    },
  ],
  claims: [
    // One; the bound is away from it, as no bound can be judged that lies on the value.
    {
      figure: 'reads of history per room, reconnect storm',
      must: { most: 1.5, unit: 'reads' },
      by: 'perRoom',
    },
    { figure: 'gaps, reconnect storm', must: { most: 0.5, unit: 'gaps' }, by: 'gaps' },
    {
      figure: 'until everybody has everything, reconnect storm',
      must: { most: 10, unit: 's' },
      by: 'seconds',
    },
  ],
  rounds: 5,
  warmUps: 1,
})
