import { createRouter } from '@cays/db-router'
import { defineCase } from '../../../bench/define-case.ts'

const LENGTH = 300

/** More texts than the router remembers, each of 300 characters, so that none is known when it comes again. */
const texts = Array.from({ length: 10_000 }, (_, index) => {
  const text = `select j.id, j.title, e.name from jobs j join employers e on e.id = j.employer_id
    left join lateral (select count(*) as n from applications a where a.job_id = j.id) c on true
    where j.island = 'Exuma ${index}' and j.closed_at is null order by j.posted_at desc limit 20 -- `
  return text.padEnd(LENGTH, 'jobs ').slice(0, LENGTH)
})

export const benchmark = defineCase({
  operation: `classifying an unknown statement of ${LENGTH} characters`,
  contenders: [
    {
      name: '@cays/db-router',
      prepare() {
        // Nothing is sent: explaining needs no server.
        const db = createRouter({
          primary: 'postgres://nobody@127.0.0.1:9/none',
          replicas: ['postgres://nobody@127.0.0.1:9/other'],
        })
        db.on('error', () => {})
        let next = 0
        return {
          run(count) {
            for (let index = 0; index < count; index += 1) {
              const { kind } = db.explain(texts[next++ % texts.length] ?? '')
              if (kind !== 'read') throw new Error('the statement is a read')
            }
          },
          close: () => db.close(),
        }
      },
    },
  ],
  claims: [{ figure: 'classification of 300 unknown characters', must: { cost: 10 } }],
})
