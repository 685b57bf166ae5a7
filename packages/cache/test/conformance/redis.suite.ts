import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type Cache, type CacheOptions, createCache, type RedisClient } from '../../src/index.ts'

/** A Redis that can be made to fail, real or not, and the time that passes on it. */
export interface Stage {
  /** A client of a process of its own. */
  connect(): RedisClient
  down(): Promise<void> | void
  up(): Promise<void> | void
  freeze(): Promise<void> | void
  thaw(): Promise<void> | void
  /** Another run of the server, without its last writes. */
  restart(lose: number | 'everything'): Promise<void> | void
  /** The next message of pub/sub reaches nobody. */
  deafen(): Promise<unknown> | undefined
  fill(): Promise<void> | void
  free(): Promise<void> | void
  evict(key: string): Promise<number> | number
  /** Lets so many milliseconds pass. */
  pass(milliseconds: number): Promise<unknown>
  close(): Promise<void> | void
}

const MAX_STALENESS = 300
/** Longer than a read may be from its turn of the event loop on a busy machine. */
const TURN = 100

let serial = 0

/** What a cache does on a Redis that works and on one that does not. */
export function redisSuite(of: string, start: () => Promise<Stage> | Stage): void {
  describe(`two nodes on ${of}`, () => {
    let stage: Stage
    let one: RedisClient
    let two: RedisClient

    beforeAll(async () => {
      stage = await start()
      one = stage.connect()
      two = stage.connect()
    })
    afterEach(async () => {
      await until('clients are ready', () => one.status === 'ready' && two.status === 'ready')
    })
    afterAll(async () => {
      await stage?.close()
    })

    async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
      for (let waited = 0; !(await holds()); waited += 5) {
        if (waited > 20_000) throw new Error(`not in time: ${what}`)
        await stage.pass(5)
      }
    }

    /** Lets time pass until it is settled. */
    async function passing<T>(promise: Promise<T>): Promise<T> {
      let settled = false
      const settle = () => {
        settled = true
      }
      promise.then(settle, settle)
      await until('it is settled', () => settled)
      return await promise
    }

    function nodes(options: Partial<CacheOptions> = {}) {
      const common = {
        name: `suite${++serial}`,
        ttl: '10m',
        jitter: 0,
        sync: { maxStaleness: MAX_STALENESS },
        ...options,
        l2: { timeout: 5_000, retryAfter: 200, ...options.l2 },
      } as const
      const a = createCache({ ...common, redis: one })
      const b = createCache({ ...common, redis: two })
      let version = 1
      let loads = 0
      return {
        a,
        b,
        key: (key: string) => `cays:cache:{${a.name}@1:${key}}`,
        namespace: `cays:cache:{${a.name}@1}`,
        load: async () => {
          loads++
          return version
        },
        change: () => ++version,
        get loads() {
          return loads
        },
        [Symbol.asyncDispose]: async () => {
          await Promise.all([a.close(), b.close()])
        },
      }
    }
    const impatient = { timeout: 100, failures: 5 }
    const inUse = (...caches: readonly Cache[]) =>
      until('in use again', () => caches.every((cache) => cache.health().status === 'ok'))
    const past = () => stage.pass(MAX_STALENESS + TURN)

    it('load once and share the value with its types', async () => {
      await using fleet = nodes()
      const { a, b } = fleet
      let loads = 0
      const load = async () => {
        loads++
        await stage.pass(20)
        return { at: new Date(0), tags: new Set(['x']) }
      }
      const [first, second] = await passing(Promise.all([a.getOrSet('k', load), b.getOrSet('k', load)]))
      expect(first).toStrictEqual({ at: new Date(0), tags: new Set(['x']) })
      expect(second).toStrictEqual(first)
      expect(loads).toBe(1)
      expect(await b.getMany(['k', 'none'])).toEqual(new Map([['k', first]]))
    })

    it('hear of invalidations by pub/sub', async () => {
      await using fleet = nodes({ sync: { maxStaleness: '1h' } })
      const { a, b, load } = fleet
      await a.getOrSet('k', load, { tags: ['t'] })
      await b.getOrSet('k', load, { tags: ['t'] })
      await until('pub/sub is up', () => b.health().redis?.subscribed === true)
      for (const invalidate of [() => a.invalidate('k'), () => a.invalidateTags('t'), () => a.clear()]) {
        const version = fleet.change()
        expect(await invalidate()).toBe('fleet')
        await until('the other heard', () => b.peek('k') === undefined)
        expect(await b.getOrSet('k', load, { tags: ['t'] })).toBe(version)
        expect(await a.getOrSet('k', load, { tags: ['t'] })).toBe(version)
      }
    })

    it('keep the bound though a message was lost', async () => {
      await using fleet = nodes()
      const { a, b, load } = fleet
      await a.getOrSet('k', load)
      await b.getOrSet('k', load)
      await until('pub/sub is up', () => b.health().redis?.subscribed === true)
      await stage.deafen()
      fleet.change()
      expect(await a.invalidate('k')).toBe('fleet')
      await past()
      expect(await b.getOrSet('k', load)).toBe(2)
    })

    it('hear of keys that others write, with sync.tracking', async () => {
      await using fleet = nodes({ sync: { maxStaleness: '1h', tracking: true } })
      const { a, b, load } = fleet
      const key = 'k {%} \ud83d'
      await a.getOrSet(key, load)
      await b.get('warm')
      await until('writes are told', () => b.health().redis?.tracking === true)
      await until('it stays in memory', async () => {
        await b.getOrSet(key, load)
        return b.peek(key) !== undefined
      })
      fleet.change()
      expect(await stage.evict(fleet.key('k %7b%25%7d %ud83d'))).toBe(1)
      await until('it is gone', () => b.peek(key) === undefined)
      expect(await b.getOrSet(key, load)).toBe(2)
    })

    it('empty memory when the news of others’ writes may have been lost', async () => {
      await using fleet = nodes({ sync: { maxStaleness: MAX_STALENESS, tracking: true } })
      const { a, b, load } = fleet
      await until('writes are told', async () => {
        await b.get('warm')
        return b.health().redis?.tracking === true
      })
      await a.getOrSet('k', load)
      await b.getOrSet('k', load)
      fleet.change()
      await stage.restart(0)
      await stage.evict(fleet.key('k'))
      await past()
      await until('clients are ready', () => two.status === 'ready')
      await inUse(b)
      expect(await b.getOrSet('k', load)).toBe(2)
    })

    it('refuse the value of a load that an invalidation has overtaken', async () => {
      await using fleet = nodes()
      const { a, b } = fleet
      let release: (value: string) => void = () => {}
      let began = false
      const slow = a.getOrSet('k', () => {
        began = true
        return new Promise<string>((resolve) => (release = resolve))
      })
      await until('it loads', () => began)
      expect(await b.invalidate('k')).toBe('fleet')
      release('old')
      expect(await slow).toBe('old')
      expect(await b.get('k')).toBeUndefined()
      expect(await b.getOrSet('k', () => 'new')).toBe('new')
    })

    it('keep away from a loader that failed elsewhere', async () => {
      await using fleet = nodes({ errorBackoff: '1m' })
      const { a, b, load } = fleet
      await expect(a.getOrSet('k', () => Promise.reject(new Error('down')))).rejects.toThrow('down')
      await expect(b.getOrSet('k', load)).rejects.toMatchObject({ code: 'CACHE_ERR_LOAD_BACKOFF' })
      expect(await b.invalidate('k')).toBe('fleet')
      expect(await b.getOrSet('k', load)).toBe(1)
    })

    it('serve an expired value where it is allowed, and nothing else', async () => {
      await using fleet = nodes({ grace: '1h' })
      const { a, b, load } = fleet
      await a.set('k', 'old')
      expect(await a.expire('k')).toBe('fleet')
      expect(await b.get('k')).toBeUndefined()
      expect(await b.getOrSet('k', () => Promise.reject(new Error('down')))).toBe('old')
      expect(await a.invalidate('k')).toBe('fleet')
      await past()
      expect(await b.getOrSet('k', load)).toBe(1)
    })

    for (const [fault, end] of [
      ['freeze', 'thaw'],
      ['down', 'up'],
    ] as const) {
      it(`go on through ${fault}, and tell of what was invalidated once it is over`, async () => {
        await using fleet = nodes({ l2: impatient })
        const { a, b, load } = fleet
        await inUse(a, b)
        await a.getOrSet('k', load)
        await b.getOrSet('k', load)
        await stage[fault]()
        const version = fleet.change()
        // Both have a deadline to wait for.
        expect(await passing(Promise.all([a.getOrSet('cold', load), a.invalidate('k')]))).toEqual([
          version,
          'queued',
        ])
        expect(a.health()).toMatchObject({ status: 'degraded', redis: { pending: 1 } })
        await stage[end]()
        await inUse(a)
        expect(a.health().redis?.pending).toBe(0)
        await inUse(b)
        await past()
        expect([await a.getOrSet('k', load), await b.getOrSet('k', load)]).toEqual([version, version])
      })
    }

    for (const lose of [0, 1, 'everything'] as const) {
      it(`count nothing from before a restart that lost ${lose}`, async () => {
        await using fleet = nodes()
        const { a, b, load } = fleet
        await a.getOrSet('k', load, { tags: ['t'] })
        await b.getOrSet('k', load, { tags: ['t'] })
        const version = fleet.change()
        expect(await a.invalidate('k')).toBe('fleet')
        await stage.restart(lose)
        await until('clients are ready', () => one.status === 'ready' && two.status === 'ready')
        await past()
        await inUse(a, b)
        for (const cache of [a, b]) expect(await cache.getOrSet('k', load, { tags: ['t'] })).toBe(version)
        expect(await b.get('k')).toBe(version)
      })
    }

    it('bring nothing back when the marker of a tag, or the namespace, is evicted', async () => {
      await using fleet = nodes()
      const { a, b, load } = fleet
      await a.getOrSet('k', load, { tags: ['t'] })
      fleet.change()
      expect(await a.invalidateTags('t')).toBe('fleet')
      expect(await stage.evict(`${fleet.namespace}:t:t`)).toBe(1)
      expect(await b.get('k')).toBeUndefined()
      expect(await b.getOrSet('k', load, { tags: ['t'] })).toBe(2)
      fleet.change()
      expect(await stage.evict(fleet.namespace)).toBe(1)
      await past()
      expect(await a.getOrSet('k', load)).toBe(3)
    })

    it('read, invalidate and go on while Redis is full, also of a run that begins full', async () => {
      await using fleet = nodes()
      const { a, b, load } = fleet
      await a.getOrSet('k', load, { tags: ['t'] })
      await b.getOrSet('k', load, { tags: ['t'] })
      await stage.fill()
      try {
        expect(await a.getOrSet('new', load)).toBe(1)
        fleet.change()
        expect(await a.invalidate('k')).toBe('fleet')
        expect(await a.expire('k')).toBe('fleet')
        expect(await a.invalidateTags('t')).toBe('fleet')
        await past()
        expect([await a.getOrSet('k', load), await b.getOrSet('k', load)]).toEqual([2, 2])
        expect(await a.clear()).toBe('fleet')
        expect(a.health().redis?.state).toBe('up')
        await stage.restart(0)
        await until('clients are ready', () => one.status === 'ready' && two.status === 'ready')
        await past()
        await until('news are heard of', async () => {
          await a.get('k')
          return a.health().redis?.confirmed === true
        })
      } finally {
        await stage.free()
      }
      expect(await a.getOrSet('later', load)).toBe(2)
      expect(await b.get('later')).toBe(2)
    })
  })
}
