import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { errorTableOf } from '../error-tables.ts'
import { sourcesOf } from '../sources.ts'
import { packages, read, root } from '../workspace.ts'

const withErrors = packages.filter(({ folder }) => existsSync(join(root, folder, 'src/errors.ts')))

describe.each(withErrors)('the errors of $manifest.name', ({ folder }) => {
  // In the table a code is a bare property name; quoted, it is a use.
  const used = new Set(
    sourcesOf(folder).flatMap((file) =>
      [...read(file).matchAll(/'([A-Z]+_ERR_[A-Z0-9_]+)'/g)].map(([, code]) => code),
    ),
  )

  it('are all in the table of the package', async () => {
    const table = await errorTableOf(folder)
    expect([...used].filter((code) => code === undefined || !(code in table))).toEqual([])
  })

  it('are all thrown somewhere', async () => {
    const table = await errorTableOf(folder)
    expect(Object.keys(table).filter((code) => !used.has(code))).toEqual([])
  })

  it('share one prefix and say what happened and what to do', async () => {
    const table = await errorTableOf(folder)
    expect(new Set(Object.keys(table).map((code) => code.split('_ERR_')[0])).size).toBe(1)
    for (const [code, { meaning }] of Object.entries(table)) {
      expect(`${code}: ${meaning}`).toMatch(/: [A-Z`].{20,}\.$/s)
    }
  })
})
