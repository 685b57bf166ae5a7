import { describe, expect, it } from 'vitest'
import { readJson } from '../workspace.ts'

interface Lock {
  readonly packages: Readonly<Record<string, { readonly resolved?: string; readonly link?: boolean }>>
}

describe('the lock file', () => {
  it('names no download address, so that every registry and mirror can serve it', () => {
    const { packages } = readJson<Lock>('package-lock.json')
    const addressed = Object.entries(packages)
      .filter(([, { resolved, link }]) => resolved && !link)
      .map(([path]) => path)
    expect(addressed).toEqual([])
  })
})
