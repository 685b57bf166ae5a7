import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { isInstalled, nodeTooOld } from '../../scripts/install.mjs'

const ENTRY = { version: '1.0.0', integrity: 'sha512-a' }
let root = ''

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'install-'))
  mkdirSync(join(root, 'node_modules'))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

function state(wanted: object, present?: object): void {
  writeFileSync(join(root, 'package-lock.json'), JSON.stringify({ packages: wanted }))
  if (present) {
    writeFileSync(join(root, 'node_modules/.package-lock.json'), JSON.stringify({ packages: present }))
  }
}

describe('npm packages', () => {
  it('are installed when node_modules has what the lock file asks for', async () => {
    state({ '': {}, 'packages/a': {}, 'node_modules/a': ENTRY }, { 'node_modules/a': ENTRY })
    expect(await isInstalled(root)).toBe(true)
  })

  it('are not when nothing was ever installed or an install was cut short', async () => {
    state({ 'node_modules/a': ENTRY })
    expect(await isInstalled(root)).toBe(false)
  })

  it('are not when a package is absent or has other contents', async () => {
    state({ 'node_modules/a': ENTRY }, {})
    expect(await isInstalled(root)).toBe(false)
    state({ 'node_modules/a': ENTRY }, { 'node_modules/a': { ...ENTRY, integrity: 'sha512-b' } })
    expect(await isInstalled(root)).toBe(false)
  })

  it('are although what belongs to another platform is absent', async () => {
    state(
      { 'node_modules/a': ENTRY, 'node_modules/b': { ...ENTRY, optional: true } },
      { 'node_modules/a': ENTRY },
    )
    expect(await isInstalled(root)).toBe(true)
  })
})

describe('the version of Node', () => {
  it('is refused below 20.19 with the reason', () => {
    expect(nodeTooOld('20.18.3')).toContain('20.19')
    expect(nodeTooOld('18.20.0')).toContain('18.20.0')
  })

  it('is accepted from 20.19 on', () => {
    for (const version of ['20.19.0', '20.20.2', '22.0.0', '26.9.0'])
      expect(nodeTooOld(version)).toBeUndefined()
  })
})
