import { defineCase } from '../../../bench/define-case.ts'
import { inFlight } from '../../../bench/in-flight.ts'
import { peer } from '../../../bench/peer.ts'
import { CALLERS, CONNECTIONS, pg, pipelined, TEXT } from './crowded-read.ts'

/** What is used of it. */
interface Postgres {
  readonly default: (
    url: string,
    options: { readonly max: number },
  ) => {
    unsafe(text: string, values: readonly unknown[], options: { readonly prepare: boolean }): Promise<unknown>
    end(): Promise<void>
  }
}

export const benchmark = defineCase({
  operation: `a read on one replica, ${CALLERS} in flight over ${CONNECTIONS} connections, pipelined and prepared`,
  needs: { replicas: 1 },
  contenders: [
    pipelined(true),
    pg,
    {
      name: 'postgres',
      async prepare({ replicaUrls: [url = ''] }) {
        const { default: postgres } = await peer<Postgres>('postgres')
        const sql = postgres(url, { max: CONNECTIONS })
        return {
          run: inFlight(CALLERS, (index) => sql.unsafe(TEXT, [index], { prepare: true })),
          close: () => sql.end(),
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
    {
      figure: 'pipelined and prepared reads per second beside postgres.js',
      must: { advantage: 1.3 },
      against: 'postgres',
      by: 'time',
    },
  ],
  rounds: 31,
})
