import { createRouter } from '@cays/db-router'
import { Pool } from 'pg'
import { defineCase } from '../../../bench/define-case.ts'
import { inFlight } from '../../../bench/in-flight.ts'

const CONNECTIONS = 10
const CALLERS = 64
const text = 'select $1::int as id, now() as at'

/** More callers than connections: pipelined, none of them waits for a connection. */
export const benchmark = defineCase({
  operation: `a read on one replica, ${CALLERS} in flight over ${CONNECTIONS} connections, pipelined and prepared`,
  needs: { replicas: 1 },
  contenders: [
    {
      name: '@cays/db-router',
      async prepare({ primaryUrl, replicaUrls }) {
        const db = createRouter({
          primary: primaryUrl,
          replicas: replicaUrls,
          pool: { max: CONNECTIONS },
          pipeline: true,
          prepare: true,
        })
        await db.query(text, [0])
        return {
          run: inFlight(CALLERS, (index) => db.query(text, [index])),
          close: () => db.close(),
        }
      },
    },
    {
      name: 'pg',
      prepare({ replicaUrls: [connectionString = ''] }) {
        const pool = new Pool({ connectionString, max: CONNECTIONS })
        return {
          run: inFlight(CALLERS, (index) => pool.query(text, [index])),
          close: () => pool.end(),
        }
      },
    },
  ],
  claims: [
    {
      figure: 'pipelined and prepared reads per second',
      must: { advantage: 2.5 },
      against: 'pg',
      by: 'time',
    },
  ],
})
