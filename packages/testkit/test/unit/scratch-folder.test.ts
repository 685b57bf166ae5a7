import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { cacheFolder, makeScratchFolder } from '../../src/scratch-folder.ts'

const uid = process.getuid?.() ?? 0
let root: string
let folder: string

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'cays-scratch-'))
  folder = join(root, `cays-testkit-${uid}`)
  vi.stubEnv('TMPDIR', root)
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(root, { recursive: true, force: true })
})

const refusal = expect.objectContaining({ code: 'TESTKIT_ERR_START_FAILED' })

it('keeps staged programs in a folder that only this user may write to', () => {
  expect(cacheFolder({})).toBe(folder)
  expect(statSync(folder).mode & 0o022).toBe(0)
  expect(cacheFolder({})).toBe(folder)
})

it('refuses a folder that others may write to', () => {
  mkdirSync(folder)
  chmodSync(folder, 0o777)
  expect(() => cacheFolder({})).toThrow(refusal)
})

it('refuses a link in the place of the folder', () => {
  const elsewhere = join(root, 'elsewhere')
  mkdirSync(elsewhere)
  symlinkSync(elsewhere, folder)
  expect(() => cacheFolder({})).toThrow(refusal)
})

it.runIf(uid === 0)('refuses a folder that another user owns', () => {
  mkdirSync(folder)
  chownSync(folder, 65_534, 65_534)
  expect(() => cacheFolder({})).toThrow(refusal)
})

it.runIf(uid === 0)('passes over a folder that the account of the servers cannot enter', () => {
  chmodSync(root, 0o700)
  expect(cacheFolder({ uid: 65_534, gid: 65_534 })).toBe('/tmp/cays-testkit-0')
})

it('makes a folder outside of memory when there is no room in it', () => {
  const roomy = 10_000_000
  expect(makeScratchFolder('cays-big-', roomy)).toMatch(new RegExp(`^${root}/cays-big-`))
})
