import { describe, expect, expectTypeOf, it } from 'vitest'
import { z } from 'zod'
import { createCache, type Schema } from '../../src/index.ts'

const user = z.object({ id: z.number(), roles: z.array(z.string()) })
type User = z.infer<typeof user>

describe('a schema', () => {
  it('lets through what fits, as it is, and names what does not without showing it', async () => {
    await using cache = createCache({ name: 'test', errorBackoff: 0 })
    const values: Readonly<Record<string, unknown>> = {
      good: { id: 1, roles: ['a'], more: 'kept' },
      bad: { id: 'secret', roles: ['a', 7] },
    }
    const users = cache.define({ name: 'user', schema: user, load: (name: string) => values[name] as User })
    expectTypeOf(users.get).returns.resolves.toEqualTypeOf<User>()
    expect(await users.get('good')).toBe(values.good)
    const error: Error = await users.get('bad').catch((thrown) => thrown)
    expect(error).toMatchObject({ code: 'CACHE_ERR_SCHEMA', retryable: false })
    expect(error.message).toContain('id, roles.1')
    expect(error.message).not.toContain('secret')
    await expect(users.getMany(['good', 'bad'])).rejects.toMatchObject({ code: 'CACHE_ERR_SCHEMA' })
    await expect(users.set('x', values.bad as User)).rejects.toMatchObject({ code: 'CACHE_ERR_SCHEMA' })
    expect(users.peek('x')).toBeUndefined()
  })

  it('fails a load as the source does: an older value within grace goes on', async () => {
    await using cache = createCache({ name: 'test', grace: '1h', errorBackoff: 0 })
    let value: unknown = { id: 1, roles: [] }
    const load = () => cache.getOrSet('k', () => value, { schema: user })
    const first = await load()
    await cache.expire('k')
    value = 'broken'
    expect(await load()).toBe(first)
  })

  it('may take its time, and one that throws lets nothing through', async () => {
    await using cache = createCache({ name: 'test', errorBackoff: 0 })
    const late: Schema<number> = {
      '~standard': {
        version: 1,
        vendor: 'test',
        validate: async (value) => (value === 1 ? {} : { issues: [{}] }),
      },
    }
    const broken: Schema<number> = {
      '~standard': {
        version: 1,
        vendor: 'test',
        validate: () => {
          throw new Error('broken')
        },
      },
    }
    const double = cache.memoize((n: number) => n, { name: 'late', schema: late })
    expect(await double(1)).toBe(1)
    await expect(double(2)).rejects.toThrow('its root')
    await expect(cache.getOrSet('k', () => 1, { schema: broken })).rejects.toThrow('its root')
  })
})
