import { createRouter } from '@cays/db-router'
import { Pool } from 'pg'
import type { Contender } from '../../../bench/define-case.ts'
import { inFlight } from '../../../bench/in-flight.ts'

/** More callers than connections: pipelined, none of them waits for a connection. */
export const CONNECTIONS = 10
export const CALLERS = 64
export const TEXT = 'select $1::int as id, now() as at'

export function pipelined(prepare: boolean): Contender {
  return {
    name: '@cays/db-router',
    async prepare({ primaryUrl, replicaUrls }) {
      const db = createRouter({
        primary: primaryUrl,
        replicas: replicaUrls,
        pool: { max: CONNECTIONS },
        pipeline: true,
        prepare,
      })
      await db.query(TEXT, [0])
      return {
        run: inFlight(CALLERS, (index) => db.query(TEXT, [index])),
        close: () => db.close(),
      }
    },
  }
}

export const pg: Contender = {
  name: 'pg',
  prepare({ replicaUrls: [connectionString = ''] }) {
    const pool = new Pool({ connectionString, max: CONNECTIONS })
    return {
      run: inFlight(CALLERS, (index) => pool.query(TEXT, [index])),
      close: () => pool.end(),
    }
  },
}
