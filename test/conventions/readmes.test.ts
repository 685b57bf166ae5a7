import { describe, expect, it } from 'vitest'
import { packages, read } from '../workspace.ts'

const ORDER = ['## What you get', '## What happens when', '## Compatibility', '## Links']

describe.each(packages)('the README of $manifest.name', ({ folder, manifest }) => {
  const lines = read(`${folder}/README.md`).split('\n')
  const first = (test: (line: string) => boolean) => lines.findIndex(test) + 1

  it('says on its first lines what the reader gains and how to install it', () => {
    expect(lines[0]).toBe(`# ${manifest.name}`)
    expect(lines[2]).toMatch(/^[A-Z].*[.:]$|^[A-Z]\S/)
    const install = first((line) => line.startsWith('npm i') && line.includes(manifest.name))
    const code = first((line) => line.startsWith('```ts'))
    expect(install).toBeGreaterThan(0)
    expect(code).toBeGreaterThan(install)
    expect(code).toBeLessThanOrEqual(25)
  })

  it('starts with ten lines of code at most, which work as pasted', () => {
    const start = lines.findIndex((line) => line.startsWith('```ts'))
    const end = lines.indexOf('```', start)
    const code = lines.slice(start + 1, end).filter((line) => line.trim() && !line.trim().startsWith('//'))
    expect(code.length).toBeLessThanOrEqual(10)
  })

  it('has the sections of its siblings in their order, on 150 lines at most', () => {
    const positions = ORDER.map((heading) => first((line) => line.startsWith(heading)))
    expect(positions).not.toContain(0)
    expect(positions).toEqual([...positions].sort((a, b) => a - b))
    expect(lines.length).toBeLessThanOrEqual(151)
  })
})
