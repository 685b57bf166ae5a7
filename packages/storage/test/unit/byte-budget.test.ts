import { describe, expect, it } from 'vitest'
import { ByteBudget, type Grant } from '../../src/byte-budget.ts'

const settled = () => new Promise<void>((resolve) => setImmediate(resolve))

/** mulberry32 */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

describe('the byte budget', () => {
  it('serves strictly in order, so that small requests do not starve a large one', async () => {
    const budget = new ByteBudget(10)
    const order: string[] = []
    const ask = (name: string, bytes: number) =>
      budget.acquire(bytes).then((grant) => {
        order.push(name)
        return grant
      })
    const first = await ask('first', 6)
    const large = ask('large', 10)
    const small = ask('small', 1)
    await settled()
    expect(order).toEqual(['first'])
    expect(budget.waiting).toBe(2)
    first.release()
    ;(await large).release()
    ;(await small).release()
    expect(order).toEqual(['first', 'large', 'small'])
    expect(budget.used).toBe(0)
  })

  it('hands a buffer that is done with to the next who needs one of its size, and to nobody else', async () => {
    const budget = new ByteBudget(10)
    const first = await budget.acquire(6)
    const done = first.block
    expect(done).toHaveLength(6)
    const small = await budget.acquire(4)
    const same = budget.acquire(6)
    first.release(true)
    expect(small.block).toHaveLength(4)
    expect((await same).block).toBe(done)
    expect((await same).block).toBe(done)
    // Dropped: whoever failed may still write into it.
    ;(await same).release()
    expect((await budget.acquire(6)).block).not.toBe(done)
  })

  it('takes back a grant once, however often it is released', async () => {
    const budget = new ByteBudget(10)
    const grant = await budget.acquire(4)
    grant.release()
    grant.release()
    expect(budget.used).toBe(0)
  })

  it('serves those behind a request that was aborted, and leaves no listener', async () => {
    const budget = new ByteBudget(10)
    const first = await budget.acquire(5)
    const controller = new AbortController()
    const large = budget.acquire(10, controller.signal)
    const small = budget.acquire(5)
    controller.abort('gone')
    await expect(large).rejects.toBe('gone')
    ;(await small).release()
    first.release()
    expect([budget.used, budget.waiting]).toEqual([0, 0])
    await expect(budget.acquire(1, controller.signal)).rejects.toBe('gone')
  })

  it('refuses what can never fit', async () => {
    await expect(new ByteBudget(10).acquire(11)).rejects.toBeInstanceOf(RangeError)
  })

  const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
  it(`never exceeds its total, never loses a byte and serves everybody (seed ${seed})`, async () => {
    const random = randomFrom(seed)
    for (let round = 0; round < 20; round++) {
      const budget = new ByteBudget(1 + Math.floor(random() * 100))
      const held: Grant[] = []
      let [granted, aborted, sum] = [0, 0, 0]
      const asked: Promise<void>[] = []
      const controllers: AbortController[] = []
      for (let step = 0; step < 100; step++) {
        const choice = random()
        if (choice < 0.5) {
          const controller = new AbortController()
          controllers.push(controller)
          const bytes = 1 + Math.floor(random() * budget.total)
          asked.push(
            budget.acquire(bytes, controller.signal).then(
              (grant) => {
                granted++
                sum += bytes
                held.push(grant)
              },
              () => void aborted++,
            ),
          )
        } else if (choice < 0.6) {
          controllers[Math.floor(random() * controllers.length)]?.abort()
        } else {
          const [grant] = held.splice(Math.floor(random() * held.length), 1)
          if (grant) sum -= grant.bytes
          grant?.release()
        }
        await settled()
        expect(budget.used).toBe(sum)
        expect(budget.used).toBeLessThanOrEqual(budget.total)
      }
      for (let guard = 0; budget.used > 0 && guard < 1_000; guard++) {
        for (const grant of held.splice(0)) {
          sum -= grant.bytes
          grant.release()
        }
        await settled()
      }
      await Promise.all(asked)
      expect(granted + aborted).toBe(asked.length)
      expect([budget.used, budget.waiting]).toEqual([0, 0])
    }
  })
})
