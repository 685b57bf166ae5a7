import type { Pool } from 'pg'
import { migrations } from './schema.ts'

// Any constant will do: it keeps two nodes that start at once from migrating at once.
const LOCK = 7_301_442

/** Brings the database to the newest schema; does nothing when it is there. Each step is one transaction. */
export async function migrate(primary: Pool): Promise<void> {
  const client = await primary.connect()
  try {
    await client.query('select pg_advisory_lock($1)', [LOCK])
    await client.query(
      'create table if not exists schema_steps (step integer primary key, at timestamptz not null default now())',
    )
    const { rows } = await client.query<{ steps: number }>('select count(*)::int as steps from schema_steps')
    for (let step = rows[0]?.steps ?? 0; step < migrations.length; step++) {
      await client.query('begin')
      await client.query(migrations[step] ?? '')
      await client.query('insert into schema_steps (step) values ($1)', [step + 1])
      await client.query('commit')
    }
  } finally {
    // Ending the connection gives back the lock and rolls back a step that failed half-way.
    client.release(true)
  }
}
