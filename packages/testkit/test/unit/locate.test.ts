import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { locate, mustLocate } from '../../src/locate.ts'

const program = {
  title: 'Example',
  names: ['cays-example-server', 'cays-example'],
  variable: 'CAYS_EXAMPLE',
  install: { debian: 'apt-get install -y example', mac: 'brew install example' },
}
let folder: string

function executable(name: string): string {
  const path = join(folder, name)
  writeFileSync(path, '')
  chmodSync(path, 0o755)
  return path
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cays-locate-'))
  vi.stubEnv('PATH', folder)
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true, force: true })
})

it('finds the preferred name on PATH, then the others', () => {
  expect(locate(program)).toBeUndefined()
  const second = executable('cays-example')
  expect(locate(program)).toBe(second)
  const first = executable('cays-example-server')
  expect(locate(program)).toBe(first)
})

it('looks in further folders after PATH', () => {
  const path = executable('cays-example')
  vi.stubEnv('PATH', '/nowhere')
  expect(locate({ ...program, folders: [folder] })).toBe(path)
})

it('takes the path or the folder that the variable names, and nothing else', () => {
  const path = executable('cays-example')
  vi.stubEnv('CAYS_EXAMPLE', path)
  expect(locate(program)).toBe(path)
  vi.stubEnv('CAYS_EXAMPLE', folder)
  expect(locate(program)).toBe(path)
  vi.stubEnv('CAYS_EXAMPLE', '/nowhere')
  expect(locate(program)).toBeUndefined()
})

it('passes over what cannot be executed', () => {
  chmodSync(executable('cays-example'), 0o644)
  expect(locate(program)).toBeUndefined()
})

it('names the command that installs what is missing', () => {
  const command = process.platform === 'darwin' ? program.install.mac : program.install.debian
  expect(() => mustLocate(program)).toThrow(
    expect.objectContaining({
      code: 'TESTKIT_ERR_SERVER_MISSING',
      message: expect.stringContaining(command),
    }),
  )
})
