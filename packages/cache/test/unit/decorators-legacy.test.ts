import ts from 'typescript'
import { describe, expect, it, vi } from 'vitest'
import * as decorators from '../../src/decorators-legacy.ts'
import { createCache } from '../../src/index.ts'

const SOURCE = `
import { cached, cachedMany, invalidates, keyOf } from 'decorators'

export class Orders {
  constructor(cache, source) {
    this.cache = cache
    this.source = source
  }

  @cached((self) => self.cache, { name: 'orders.byId' })
  async byId(id) {
    return this.source.byId(id)
  }

  @cachedMany((self) => self.cache, { name: 'orders.byId' })
  async byIds(ids) {
    return this.source.byIds(ids)
  }

  @invalidates((self) => self.cache, (_, id) => ({ keys: [keyOf('orders.byId', id)] }))
  async rename(id) {}
}
`

interface Orders {
  byId(id: string): Promise<string>
  byIds(ids: readonly string[]): Promise<readonly string[]>
  rename(id: string): Promise<void>
}

/** The class as TypeScript compiles it with `experimentalDecorators`. */
function compiled(): new (cache: object, source: object) => Orders {
  const { outputText } = ts.transpileModule(SOURCE, {
    compilerOptions: {
      experimentalDecorators: true,
      module: ts.ModuleKind.CommonJS,
      target: ts.ScriptTarget.ES2022,
    },
  })
  const exports = {} as { Orders: new (cache: object, source: object) => Orders }
  new Function('exports', 'require', outputText)(exports, () => decorators)
  return exports.Orders
}

describe('legacy decorators', () => {
  it('cache, batch and invalidate as the standard ones do', async () => {
    await using cache = createCache({ name: 'test' })
    const source = {
      byId: vi.fn((id: string) => `order ${id}`),
      byIds: vi.fn((ids: readonly string[]) => ids.map((id) => `order ${id}`)),
    }
    const Compiled = compiled()
    const orders = new Compiled(cache, source)
    expect(await orders.byId('1')).toBe('order 1')
    expect(await orders.byId('1')).toBe('order 1')
    expect(source.byId).toHaveBeenCalledTimes(1)
    expect(await orders.byIds(['1', '2'])).toEqual(['order 1', 'order 2'])
    expect(source.byIds.mock.calls).toEqual([[['2']]])
    await orders.rename('1')
    await orders.byId('1')
    expect(source.byId).toHaveBeenCalledTimes(2)
  })
})
