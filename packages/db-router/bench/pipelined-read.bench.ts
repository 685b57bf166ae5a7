import { defineCase } from '../../../bench/define-case.ts'
import { inFlight } from '../../../bench/in-flight.ts'
import { barePipeline } from './bare-pipeline.ts'
import { CALLERS, CONNECTIONS, pg, pipelined, TEXT } from './crowded-read.ts'

const BARE = 'bare pipelining'

export const benchmark = defineCase({
  operation: `a read on one replica, ${CALLERS} in flight over ${CONNECTIONS} connections, pipelined`,
  needs: { replicas: 1 },
  contenders: [
    pipelined(false),
    pg,
    {
      name: BARE,
      async prepare({ replicaUrls: [connectionString = ''] }) {
        const lanes = await barePipeline(connectionString, CONNECTIONS)
        return {
          run: inFlight(CALLERS, (index) => lanes.query(TEXT, [index])),
          close: async () => void (await lanes.end()),
        }
      },
    },
  ],
  claims: [
    { figure: 'pipelined reads per second', must: { advantage: 1.8 }, against: 'pg', by: 'time' },
    {
      figure: 'pipelined reads per second beside the least that can do it',
      must: { advantage: 0.85 },
      against: BARE,
      by: 'time',
    },
  ],
  rounds: 31,
})
