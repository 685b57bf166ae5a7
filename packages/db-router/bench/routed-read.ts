import { createRouter } from '@cays/db-router'
import { Pool } from 'pg'
import { type BenchmarkCase, defineCase } from '../../../bench/define-case.ts'
import { inFlight } from '../../../bench/in-flight.ts'

const CONNECTIONS = 10
const text = 'select $1::int as id, now() as at'

/** The same statement on the same replica over as many connections: what is left is what routing adds. */
export function routedRead(callers: number): Required<BenchmarkCase> {
  return defineCase({
    operation: `a read on one replica, ${callers} in flight over ${CONNECTIONS} connections`,
    needs: { replicas: 1 },
    contenders: [
      {
        name: '@cays/db-router',
        async prepare({ primaryUrl, replicaUrls }) {
          const db = createRouter({ primary: primaryUrl, replicas: replicaUrls, pool: { max: CONNECTIONS } })
          await db.query(text, [0])
          return {
            run: inFlight(callers, (index) => db.query(text, [index])),
            close: () => db.close(),
          }
        },
      },
      {
        name: 'pg',
        prepare({ replicaUrls: [connectionString = ''] }) {
          const pool = new Pool({ connectionString, max: CONNECTIONS })
          return {
            run: inFlight(callers, (index) => pool.query(text, [index])),
            close: () => pool.end(),
          }
        },
      },
    ],
    claims: [
      { figure: `client CPU added to a query, ${callers} in flight`, must: { added: 2 }, against: 'pg' },
      { figure: `client CPU of a query, ${callers} in flight`, must: { ratio: 1.06 }, against: 'pg' },
      {
        figure: `queries per second, ${callers} in flight`,
        must: { advantage: 0.97 },
        against: 'pg',
        by: 'time',
      },
    ],
    rounds: 100,
  })
}
