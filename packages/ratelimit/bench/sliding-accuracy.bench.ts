import { slidingLog, slidingWindow } from '@cays/ratelimit'
import { createTestLimiter, fakeClock } from '@cays/ratelimit/testing'
import { type Contender, defineCase } from '../../../bench/define-case.ts'
import { counted } from './counted.ts'

const LIMIT = 100
/** Milliseconds. */
const WINDOW = 60_000

/** Milliseconds to the next request, given the time; on average nine tenths of what the limit admits are asked for. */
type Traffic = (now: number, random: () => number) => number
const GAP = WINDOW / (LIMIT * 0.9)

const uniform: Traffic = () => GAP
const poisson: Traffic = (_now, random) => -Math.log(1 - random()) * GAP
const bursts: Traffic = (_now, random) => (random() < 0.05 ? GAP * 20 * 2 * random() : 0)
const waves: Traffic = (now, random) => (GAP * (0.5 + random())) / (1 + 0.9 * Math.sin(now / 37_000))
const onTheMinute: Traffic = (now, random) =>
  now % WINDOW < 10_000 ? GAP / 6 : WINDOW - (now % WINDOW) + random()

/** A hundred times the share of requests that the counter decides otherwise than the exact log of its admissions. */
function traffic(name: string, gap: Traffic): Contender {
  return {
    name,
    prepare() {
      // A stream of its own for each shape, the same in every run.
      let state = 1
      const random = () => {
        state = (state * 48_271) % 2_147_483_647
        return state / 2_147_483_647
      }
      const clock = fakeClock()
      const start = clock.now.getTime()
      const counter = createTestLimiter({
        clock,
        policies: { api: slidingWindow({ limit: LIMIT, per: WINDOW }) },
      })
      const exact = createTestLimiter({ clock, policies: { api: slidingLog({ limit: LIMIT, per: WINDOW }) } })
      let wrong = 0
      const ask = async (count: number) => {
        for (let request = 0; request < count; request++) {
          await clock.advance(gap(clock.now.getTime() - start, random))
          const { allowed } = await counter.check('user')
          const { allowed: fits } = await exact.peek('user')
          if (allowed !== fits) wrong++
          if (allowed) await exact.penalty('user')
        }
      }
      return {
        run: counted('wrong', ask, () => wrong * 100),
        async close() {
          await Promise.all([counter.close(), exact.close()])
        },
      }
    },
  }
}

export const benchmark = defineCase({
  operation:
    'a request of 90 a minute where 100 are allowed; counted: % decided otherwise than by the exact log',
  contenders: [
    traffic('@cays/ratelimit', uniform),
    traffic('poisson', poisson),
    traffic('bursts', bursts),
    traffic('waves', waves),
    traffic('all in ten seconds of each minute', onTheMinute),
    traffic('uniform, twice the limit', () => WINDOW / (LIMIT * 2)),
  ],
  claims: [
    {
      figure: 'wrong decisions of slidingWindow, uniform traffic',
      must: { most: 1, unit: '%' },
      by: 'wrong',
    },
  ],
})
