import { setTimeout as sleep } from 'node:timers/promises'
import { createRouter } from '@cays/db-router'
import { type Contender, defineCase } from '../../../bench/define-case.ts'
import { CONNECTIONS, TEXT } from './crowded-read.ts'

/** The slowest of so many is their 98th percentile. */
const GROUP = 64
const SLOW = 'select pg_sleep(0.2)'

function quick(name: string, beside: boolean): Contender {
  return {
    name,
    async prepare({ primaryUrl }) {
      const db = createRouter({ primary: primaryUrl, pool: { max: CONNECTIONS }, pipeline: true })
      await db.query(TEXT, [0])
      if (beside) for (let run = 0; run < 20; run++) await db.query(SLOW)
      let closed = false
      const slow = (async () => {
        while (beside && !closed) {
          await db.query(SLOW)
          await sleep(20)
        }
      })()
      return {
        async run(count) {
          for (let group = 0; group < count; group++) {
            await Promise.all(Array.from({ length: GROUP }, (_, index) => db.query(TEXT, [index])))
          }
        },
        async close() {
          closed = true
          await slow
          await db.close()
        },
      }
    },
  }
}

export const benchmark = defineCase({
  operation: `${GROUP} quick statements at once, until the last is answered, while one of 200 ms runs`,
  needs: { replicas: 0 },
  contenders: [quick('@cays/db-router', true), quick('without the slow one', false)],
  claims: [
    {
      figure: 'slowest of 64 quick statements beside a slow one',
      must: { ratio: 1.3 },
      against: 'without the slow one',
      by: 'time',
    },
  ],
})
