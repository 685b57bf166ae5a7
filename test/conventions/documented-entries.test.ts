import { describe, expect, it } from 'vitest'
import { packages, readJson } from '../workspace.ts'

describe('the API documentation', () => {
  it.each(packages)('covers exactly the entries of $manifest.name', ({ folder, entries }) => {
    const { entryPoints } = readJson<{ readonly entryPoints: readonly string[] }>(`${folder}/typedoc.json`)
    expect([...entryPoints].sort()).toEqual(entries.map(({ source }) => source).sort())
  })
})
