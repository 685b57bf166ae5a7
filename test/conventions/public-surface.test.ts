import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { importsOf, sourcesOf } from '../sources.ts'
import { packages, root } from '../workspace.ts'

const MOST_NAMES = 25

describe.each(packages)('the surface of $manifest.name', ({ folder, entries }) => {
  it('is spelled name by name, never with export *', () => {
    const stars = sourcesOf(folder).filter((file) => importsOf(file).some(({ everything }) => everything))
    expect(stars).toEqual([])
  })

  it.each(entries)(`of $specifier has at most ${MOST_NAMES} values`, async ({ source }) => {
    const names = Object.keys((await import(join(root, folder, source))) as object)
    expect(names.length).toBeLessThanOrEqual(MOST_NAMES)
    expect(names).not.toContain('default')
  })
})
