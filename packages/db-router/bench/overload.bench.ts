import { setTimeout as sleep } from 'node:timers/promises'
import { createRouter, RouterError } from '@cays/db-router'
import { defineCase } from '../../../bench/define-case.ts'

const CONNECTIONS = 10
const SHARE = 0.5
const SLOTS = CONNECTIONS * SHARE
/** Milliseconds that a read keeps a connection of the primary busy. */
const WORK = 10
const CAPACITY = (CONNECTIONS * 1_000) / WORK
const OVERLOAD = 5
const READ = `select pg_sleep(${WORK / 1_000})`

/** The latest values of many. */
class Latest {
  readonly #values: number[] = []

  add(value: number): void {
    this.#values.push(value)
    if (this.#values.length > 4_000) this.#values.splice(0, 2_000)
  }

  percentile(share: number): number {
    const sorted = this.#values.toSorted((a, b) => a - b)
    return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
  }
}

export const benchmark = defineCase({
  operation: `a read with every replica gone, at ${OVERLOAD} times what the primary can do`,
  needs: { replicas: 0 },
  contenders: [
    {
      name: '@cays/db-router',
      async prepare({ primaryUrl }) {
        const db = createRouter({
          primary: primaryUrl,
          // Nobody listens there.
          replicas: ['postgres://postgres@127.0.0.1:9/postgres', 'postgres://postgres@127.0.0.2:9/postgres'],
          pool: { max: CONNECTIONS },
          fallback: { share: SHARE },
          functions: { replica: ['pg_sleep'] },
        })
        await db.health()
        const refusals = new Latest()
        const used = new Latest()
        let closed = false
        let issued = 0
        const read = async () => {
          const started = performance.now()
          try {
            await db.query(READ)
          } catch (error) {
            if (!(error instanceof RouterError) || error.code !== 'DB_ERR_FALLBACK_SHED') throw error
            refusals.add(performance.now() - started)
          }
        }
        const load = (async () => {
          const started = performance.now()
          while (!closed) {
            // They come when they come, however long the others take.
            const due = ((performance.now() - started) / 1_000) * CAPACITY * OVERLOAD
            for (; issued < due; issued++) void read()
            await sleep(1)
            used.add((await db.health()).fallback.running)
          }
        })()
        return {
          async run(count) {
            for (const end = issued + count; issued < end; ) await sleep(1)
            return {
              refusal: refusals.percentile(0.99),
              beyond: used.percentile(1) - SLOTS,
              unused: SLOTS - used.percentile(0.5),
            }
          },
          async close() {
            closed = true
            await load
            await db.close()
          },
        }
      },
    },
  ],
  claims: [
    { figure: 'refusal of what is too much, 99 of 100', must: { most: 5, unit: 'ms' }, by: 'refusal' },
    {
      figure: 'connections of the primary used beyond their share, at most',
      must: { most: 0.5, unit: 'of 10' },
      by: 'beyond',
    },
    {
      figure: 'connections of their share left unused, half of the time',
      must: { most: 0.5, unit: 'of 10' },
      by: 'unused',
    },
  ],
  roundTime: 1_000,
})
