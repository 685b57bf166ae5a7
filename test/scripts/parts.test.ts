import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { installCommand, parts, testsNeeding } from '../../scripts/parts.mjs'

let root = ''

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'parts-'))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

function write(files: Readonly<Record<string, string>>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(root, dirname(path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  for (const group of ['packages', 'examples']) mkdirSync(join(root, group), { recursive: true })
}

describe('the tests left out on a machine without a server', () => {
  it('are those that start it, themselves or through a file of the tests they import', () => {
    write({
      'packages/a/test/unit/pure.test.ts': `import { x } from '../../src/x.ts'`,
      'packages/a/test/integration/direct.test.ts': `await startRedis({ mode: 'standalone' })`,
      'packages/a/test/integration/through.test.ts': `import { servers } from '../servers.ts'`,
      'packages/a/test/servers.ts': `import { more } from './more.ts'`,
      'packages/a/test/more.ts': `export const more = () => startRedis({ mode: 'cluster' })`,
      'packages/a/test/integration/other.test.ts': 'await startPostgres()',
    })
    expect(testsNeeding(['redis'], root).sort()).toEqual([
      'packages/a/test/integration/direct.test.ts',
      'packages/a/test/integration/through.test.ts',
    ])
  })

  it('are none when nothing is missing', () => {
    write({ 'packages/a/test/integration/direct.test.ts': 'await startRedis()' })
    expect(testsNeeding([], root)).toEqual([])
  })

  it('survive files that import each other', () => {
    write({
      'packages/a/test/one.test.ts': `import { b } from './two.ts'; playwright; import p from 'playwright-core'`,
      'packages/a/test/two.ts': `import { a } from './one.test.ts'`,
    })
    expect(testsNeeding(['chromium'], root)).toEqual(['packages/a/test/one.test.ts'])
  })
})

describe('the command that installs what is missing', () => {
  it('names every package of every part, with sudo for a normal user', () => {
    const command = installCommand(parts, { root: false })
    expect(command).toMatch(/^(?:sudo (?:apt-get|dnf)|brew) .*install/)
    expect(command).toContain('redis')
    expect(installCommand(parts, { root: true })).not.toContain('sudo')
  })
})
