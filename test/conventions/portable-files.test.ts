import { execFileSync } from 'node:child_process'
import { lstatSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { read, root } from '../workspace.ts'

// Spelled in parts, so that this file does not match itself.
const HOMES = ['home', 'Users', 'root', 'work', 'mnt'].join('|')
const MACHINE_PATH = new RegExp(`(?<![\\w.\\])}-])/(?:${HOMES})/[\\w.-]+/`)
const REGISTRY = new RegExp(
  ['registry', String.raw`\.`, '(?:npmjs|yarnpkg|npmmirror)', String.raw`\.`].join(''),
)
const BINARY = /\.(?:png|jpe?g|webp|avif|ico|gif|pdf|woff2?|ttf|zip|gz|tgz|wasm|bin)$/

function trackedFiles(): readonly string[] {
  const list = execFileSync('git', ['ls-files', '-z'], { cwd: root, encoding: 'utf8' }).split('\0')
  return list.filter(
    (file) => file && !BINARY.test(file) && lstatSync(join(root, file), { throwIfNoEntry: false })?.isFile(),
  )
}

describe('tracked files', () => {
  it('name no path of one machine and no registry', () => {
    const found = trackedFiles().filter((file) => {
      const text = read(file)
      return MACHINE_PATH.test(text) || REGISTRY.test(text)
    })
    expect(found).toEqual([])
  })
})
