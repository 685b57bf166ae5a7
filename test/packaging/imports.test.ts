import { join } from 'node:path'
import { describe, expect, inject, it } from 'vitest'
import { packages, root } from '../workspace.ts'
import { load } from './consumer.ts'

const entries = packages.flatMap((one) => one.entries.map((entry) => ({ ...entry, folder: one.folder })))

describe.each(entries)('$specifier', ({ specifier, folder, source }) => {
  it('exports the same names as ESM, as CJS and in its source', async () => {
    const [esm, cjs] = await Promise.all([
      load(inject('newest'), specifier, 'esm'),
      load(inject('newest'), specifier, 'cjs'),
    ])
    const inSource = Object.keys((await import(join(root, folder, source))) as object).sort()
    expect(esm.names).toEqual(inSource)
    expect(cjs.names).toEqual(inSource)
  })

  it('loads with the lowest version of every peer', async () => {
    const [esm, cjs] = await Promise.all([
      load(inject('lowest'), specifier, 'esm'),
      load(inject('lowest'), specifier, 'cjs'),
    ])
    expect(esm.names).toEqual(cjs.names)
  })
})
