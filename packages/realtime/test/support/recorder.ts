import { expect } from 'vitest'
import { WebSocket } from 'ws'
import { type ClientOptions, createClient, type Gap } from '../../src/client.ts'
import { sequenceFaults } from '../../src/testing.ts'

export { sequenceFaults as faultsOf }

/** What one client saw in one room: numbers, and gaps where they were announced. */
export interface Record {
  readonly client: ReturnType<typeof createClient>
  readonly room: ReturnType<ReturnType<typeof createClient>['room']>
  readonly numbers: number[]
  readonly gaps: { readonly after: number; readonly gap: Gap }[]
  close(): Promise<void>
}

const QUICK = { base: 50, cap: 400 }

/** A client in room `job:{id}` that writes down the numbers in its `n` events. */
export function record(
  url: ClientOptions['url'],
  id: string | number = 1,
  options: Partial<ClientOptions> = {},
): Record {
  const client = createClient({ url, getToken: () => 'ann', WebSocket, backoff: QUICK, ...options })
  const room = client.room('job:{id}', { id })
  const numbers: number[] = []
  const gaps: Record['gaps'] = []
  room.on('n', (data) => numbers.push(data as number))
  room.onGap((gap) => gaps.push({ after: numbers.length, gap }))
  return { client, room, numbers, gaps, close: () => client.close() }
}

/** Every client has everything from 1 to `last`, once and in order; then it is closed. */
export async function expectComplete(records: readonly Record[], last: number): Promise<void> {
  for (const one of records) await expect.poll(() => one.numbers.at(-1)).toBe(last)
  for (const one of records) {
    expect(sequenceFaults(one)).toEqual([])
    expect(one.gaps).toEqual([])
    expect(one.numbers).toHaveLength(last)
  }
  await Promise.all(records.map((one) => one.close()))
}

/** Waits until so many more were published. */
export async function passes(counting: { readonly count: () => number }, more: number): Promise<void> {
  const before = counting.count()
  await expect.poll(counting.count, { interval: 10 }).toBeGreaterThan(before + more)
}

/** Publishes 1, 2, 3 … until stopped; each number once, repeated with its key until it is stored. */
export function startCounting(
  publish: (n: number, idempotencyKey: string) => Promise<unknown>,
  every = 5,
): { readonly count: () => number; stop(): Promise<number> } {
  let n = 0
  let stopped = false
  const run = `${Math.random()}`
  const loop = (async () => {
    while (!stopped) {
      n++
      for (;;) {
        try {
          await publish(n, `${run}:${n}`)
          break
        } catch (error) {
          if (!(error as { retryable?: boolean }).retryable) throw error
        }
      }
      await new Promise((resolve) => setTimeout(resolve, every))
    }
  })()
  return {
    count: () => n,
    async stop() {
      stopped = true
      await loop
      return n
    },
  }
}
