import { afterEach, expect, it } from 'vitest'
import { startLocalNode } from '../support/local-node.ts'
import { openRaw, range } from '../support/raw-client.ts'
import { p99, SOAK } from '../support/soak.ts'

// As a soak for half a minute.
const SECONDS = SOAK ? 30 : 3
const PER_SECOND = 5_000_000
const MESSAGE = 4_000
const BUDGET = 1_048_576

const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

/** A reader of `job:1` that writes down the offsets, and how long each message took, in milliseconds. */
async function read(url: string, user: string) {
  const raw = await openRaw(url)
  closers.push(() => raw.close())
  const offsets: number[] = []
  const delays: number[] = []
  raw.send(['hello', 1, user, null, [[2, 'job:1']]])
  await expect.poll(() => raw.messages.length).toBe(2)
  raw.socket.removeAllListeners('message')
  raw.socket.on('message', (frame) => {
    for (const line of frame.toString().split('\n')) {
      const [type, , offset, , data] = JSON.parse(line) as [string, string, number, string, { at: number }]
      if (type !== 'm') continue
      offsets.push(offset)
      delays.push(performance.now() - data.at)
    }
  })
  return { ...raw, offsets, delays }
}

it(
  `a reader stopped for ${SECONDS} s at 5 MB/s costs its budget, holds up nobody, and misses nothing`,
  async () => {
    const node = await startLocalNode({
      limits: { outbound: BUDGET },
      history: { size: 100_000 },
      heartbeat: '10m',
    })
    closers.push(() => node.close())
    const slow = await read(node.url, 'slow')
    const others = await Promise.all(['ann', 'ben'].map((user) => read(node.url, user)))
    const room = node.realtime.room('job:{id}', { id: 1 } as never)
    const filler = 'x'.repeat(MESSAGE)
    const publish = () => room.publish('n' as never, { at: performance.now(), filler } as never)
    slow.socket.pause()
    // A burst in one turn of the event loop, then as many as are due.
    await Promise.all(Array.from({ length: 500 }, publish))
    const last = (SECONDS * PER_SECOND) / MESSAGE
    const started = performance.now()
    let waiting = 0
    for (let sent = 500; sent < last; ) {
      const due = Math.min(last, 500 + ((performance.now() - started) / 1_000) * (PER_SECOND / MESSAGE))
      const now = Math.min(100, Math.max(0, Math.floor(due) - sent))
      await Promise.all(Array.from({ length: now }, publish))
      sent += now
      for (const connection of node.realtime.connections()) waiting = Math.max(waiting, connection.waiting)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    // Nobody waits for the one who does not read.
    const all = range(1, last)
    for (const { offsets } of others) await expect.poll(() => offsets.length).toBe(last)
    expect(slow.offsets.length).toBeLessThan(last)
    expect(waiting).toBeGreaterThan(BUDGET / 2)
    expect(waiting).toBeLessThanOrEqual(BUDGET * 1.1)
    console.log(
      `${waiting} bytes waited of ${last * MESSAGE}; p99 of the others ${p99(others[0]?.delays ?? [])} ms`,
    )
    slow.socket.resume()
    await expect.poll(() => slow.offsets.length).toBe(last)
    for (const { offsets } of [slow, ...others]) expect(offsets).toEqual(all)
  },
  60_000 + SECONDS * 4_000,
)
