import { createRouter } from '@cays/db-router'
import { Client } from 'pg'
import { defineCase } from '../../../bench/define-case.ts'

const LATEST = 100

export const benchmark = defineCase({
  operation: 'aborting a statement, until its server no longer runs it',
  needs: { replicas: 0 },
  contenders: [
    {
      name: '@cays/db-router',
      async prepare({ primaryUrl }) {
        const db = createRouter({ primary: primaryUrl })
        const watch = new Client({ connectionString: primaryUrl })
        await watch.connect()
        const running = async (text: string): Promise<boolean> => {
          const { rows } = await watch.query(
            "select from pg_stat_activity where state = 'active' and query = $1",
            [text],
          )
          return rows.length > 0
        }
        let next = 0
        const took: number[] = []
        return {
          async run(count) {
            for (let index = 0; index < count; index++) {
              const text = `select pg_sleep(60), ${next++}`
              const controller = new AbortController()
              const doomed = db.query({ text, signal: controller.signal }).catch(() => {})
              while (!(await running(text))) {}
              const aborted = performance.now()
              controller.abort()
              while (await running(text)) {}
              took.push(performance.now() - aborted)
              await doomed
            }
            if (took.length > LATEST) took.splice(0, took.length - LATEST)
            const sorted = took.toSorted((a, b) => a - b)
            return { stop: sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN }
          },
          async close() {
            await watch.end()
            await db.close()
          },
        }
      },
    },
  ],
  claims: [
    {
      figure: 'from the abort until the server has stopped, 99 of 100',
      must: { most: 100, unit: 'ms' },
      by: 'stop',
    },
  ],
  roundTime: 1_000,
})
