import { createRouter } from '@cays/db-router'
import { Pool } from 'pg'
import { defineCase } from '../../../bench/define-case.ts'
import { inFlight } from '../../../bench/in-flight.ts'

const CALLERS = 10
/** Reads that the share on the primary is taken of. */
const LATEST = 10_000
const CREATE = 'create table if not exists seen (id int primary key, version int)'
const WRITE =
  'insert into seen values ($1, 1) on conflict (id) do update set version = seen.version + 1 returning version'
const READ = 'select version, pg_is_in_recovery() as replica from seen where id = $1'

interface Row {
  readonly version: number
  readonly replica: boolean
}

/** Fails unless every read sees its write. */
export const benchmark = defineCase({
  operation: `a write and a read that sees it, ${CALLERS} in flight`,
  needs: { replicas: 1 },
  contenders: [
    {
      name: '@cays/db-router',
      async prepare({ primaryUrl, replicaUrls }) {
        const db = createRouter({ primary: primaryUrl, replicas: replicaUrls, pool: { max: CALLERS } })
        await db.query(CREATE)
        let next = 0
        let reads = 0
        let onPrimary = 0
        const once = inFlight(CALLERS, () =>
          db.session(async () => {
            const id = next++ % 1_000
            const written = await db.query<Row>(WRITE, [id])
            const { rows } = await db.query<Row>(READ, [id])
            const [row] = rows
            if (!row || row.version < (written.rows[0]?.version ?? 0)) throw new Error('a stale read')
            reads++
            if (!row.replica) onPrimary++
            // Half of what was, so that it is forgotten by and by.
            if (reads === LATEST) {
              reads /= 2
              onPrimary /= 2
            }
          }),
        )
        return {
          async run(count) {
            await once(count)
            return { primary: (100 * onPrimary) / reads }
          },
          close: () => db.close(),
        }
      },
    },
    {
      name: 'pg',
      async prepare({ primaryUrl }) {
        const pool = new Pool({ connectionString: primaryUrl, max: CALLERS })
        await pool.query(CREATE)
        let next = 0
        return {
          run: inFlight(CALLERS, async () => {
            const id = next++ % 1_000
            await pool.query(WRITE, [id])
            await pool.query(READ, [id])
          }),
          close: () => pool.end(),
        }
      },
    },
  ],
  claims: [
    {
      figure: 'client CPU of a write and a read on a replica that sees it',
      must: { ratio: 4 },
      against: 'pg',
    },
    {
      figure: 'of the reads right after writes, run on the primary',
      must: { most: 10, unit: '%' },
      by: 'primary',
    },
  ],
})
