import { setTimeout as sleep } from 'node:timers/promises'
import { createRouter, type Router } from '@cays/db-router'
import { type Contender, defineCase } from '../../../bench/define-case.ts'
import { median } from '../../../bench/judge.ts'

/** Milliseconds that every byte takes to a server and back. */
const ROUND_TRIP = 2
const BOOKMARK = { secret: 'of the benchmark' }
const CREATE = 'create table if not exists seen (id int primary key, version int)'
const WRITE =
  'insert into seen values (1, 1) on conflict (id) do update set version = seen.version + 1 returning version'
const READ = 'select version, pg_is_in_recovery() as replica from seen where id = 1'
const LATEST = 200

interface Row {
  readonly version: number
  readonly replica: boolean
}

/** One operation: somebody else writes, then this process reads over a line that takes its time. */
function reader(name: string, read: (far: Router, bookmark: string) => Promise<Row | undefined>): Contender {
  return {
    name,
    async prepare({ primaryUrl, replicaUrls, farUrls: [primary = '', ...replicas] }) {
      const near = createRouter({
        primary: primaryUrl,
        replicas: replicaUrls,
        bookmark: BOOKMARK,
        wait: { budget: '10s' },
      })
      await near.query(CREATE)
      // It does not look at the replica by chance: what it knows is older than each bookmark.
      const far = createRouter({
        primary,
        replicas,
        bookmark: BOOKMARK,
        health: { interval: '1h' },
        maxStaleness: '1h',
        wait: { budget: '10s' },
      })
      const fresh = () => far.topology().some(({ staleness }) => staleness !== undefined)
      while (!fresh()) await sleep(10)
      const took: number[] = []
      return {
        async run(count) {
          for (let index = 0; index < count; index++) {
            const { bookmark, version } = await near.session(async (session) => {
              await near.query(WRITE)
              const { rows } = await near.query<Row>(READ)
              return { bookmark: session.bookmark(), version: rows[0]?.version ?? 0 }
            })
            const started = performance.now()
            const row = await read(far, bookmark)
            took.push(performance.now() - started)
            if (!row?.replica || row.version < version) throw new Error('not what the replica should show')
          }
          took.splice(0, took.length - LATEST)
          return { latency: median(took) }
        },
        async close() {
          await Promise.all([near.close(), far.close()])
        },
      }
    },
  }
}

const PLAIN = 'the same read without a bookmark'

export const benchmark = defineCase({
  operation: `a read on a replica ${ROUND_TRIP} ms away that proves to have what a bookmark names`,
  needs: { replicas: 1, roundTrip: ROUND_TRIP },
  contenders: [
    reader('@cays/db-router', (far, from) =>
      far.session({ from }, async () => (await far.query<Row>(READ)).rows[0]),
    ),
    reader(PLAIN, async (far) => (await far.query<Row>({ text: READ, consistency: 'eventual' })).rows[0]),
  ],
  claims: [{ figure: 'verified read', must: { ratio: 1.05 }, against: PLAIN, by: 'latency' }],
  rounds: 31,
  roundTime: 400,
})
