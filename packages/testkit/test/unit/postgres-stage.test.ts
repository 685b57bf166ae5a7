import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { stagePostgres } from '../../src/postgres-stage.ts'

let root: string
let native: string
let stage: string

// The package as it is without its install script: the links are only described.
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'cays-stage-'))
  native = join(root, 'native')
  stage = join(root, 'stage')
  mkdirSync(join(native, 'lib', 'deep'), { recursive: true })
  writeFileSync(join(native, 'lib', 'libx.so.1.2'), 'library')
  writeFileSync(join(native, 'lib', 'libx.a'), 'static library')
  writeFileSync(join(native, 'lib', 'deep', 'file'), 'deep')
  writeFileSync(join(native, 'program'), 'program')
  chmodSync(join(native, 'program'), 0o700)
  const links = [{ source: 'native/lib/libx.so.1.2', target: 'native/lib/libx.so.1' }]
  writeFileSync(join(native, 'pg-symlinks.json'), JSON.stringify(links))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

it('makes the links that the install script would have made, and links the files themselves', () => {
  expect(stagePostgres(native, stage)).toBe(stage)
  expect(readlinkSync(join(stage, 'lib', 'libx.so.1'))).toBe('libx.so.1.2')
  expect(readFileSync(join(stage, 'lib', 'libx.so.1'), 'utf8')).toBe('library')
  const [original, staged] = [native, stage].map(
    (folder) => statSync(join(folder, 'lib', 'deep', 'file')).ino,
  )
  expect(staged).toBe(original)
})

it('leaves out static libraries', () => {
  stagePostgres(native, stage)
  expect(existsSync(join(stage, 'lib', 'libx.a'))).toBe(false)
})

it('copies a file that others may not read, and lets them', () => {
  stagePostgres(native, stage)
  expect(statSync(join(stage, 'program')).mode & 0o777).toBe(0o755)
  expect(statSync(join(native, 'program')).mode & 0o777).toBe(0o700)
})

it('adds what has gone missing and leaves the rest as it is', () => {
  stagePostgres(native, stage)
  const before = statSync(join(stage, 'program')).ino
  rmSync(join(stage, 'lib'), { recursive: true })
  stagePostgres(native, stage)
  expect(readFileSync(join(stage, 'lib', 'libx.so.1'), 'utf8')).toBe('library')
  expect(readFileSync(join(stage, 'lib', 'deep', 'file'), 'utf8')).toBe('deep')
  expect(statSync(join(stage, 'program')).ino).toBe(before)
})
