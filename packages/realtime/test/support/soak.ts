import { seededRandom } from './seeded-random.ts'

const minutes = Number(process.env.CAYS_SOAK ?? 0)

/** True in `npm run soak`: more of everything, and figures are held to what is promised. */
export const SOAK: boolean = minutes > 0

/** How long a test that repeats itself may take in all, in milliseconds. */
export const SOAK_TIME: number = minutes * 60_000

/** Once; as a soak, again and again until its time is over. Each time with another seed, which is printed. */
export async function repeatedly(round: (random: () => number) => Promise<void>): Promise<void> {
  const until = Date.now() + SOAK_TIME
  for (let rounds = 1; ; rounds++) {
    const seed = Math.floor(Math.random() * 1_000_000)
    console.log(`round ${rounds}, seed ${seed}`)
    await round(seededRandom(seed))
    if (Date.now() >= until) return
  }
}

/** The 99th percentile, in whole milliseconds. */
export function p99(delays: readonly number[]): number {
  return Math.round(delays.toSorted((a, b) => a - b)[Math.floor(delays.length * 0.99)] ?? 0)
}
