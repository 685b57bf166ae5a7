import { lstatSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { read, repositoryFiles, root } from '../workspace.ts'

// Spelled in parts, so that this file does not match itself.
const HOMES = ['home', 'Users', 'root', 'work', 'mnt'].join('|')
const MACHINE_PATH = new RegExp(`(?<![\\w.\\])}-])/(?:${HOMES})/[\\w.-]+/`)
const REGISTRY = new RegExp(
  ['registry', String.raw`\.`, '(?:npmjs|yarnpkg|npmmirror)', String.raw`\.`].join(''),
)
const BINARY = /\.(?:png|jpe?g|webp|avif|ico|gif|pdf|woff2?|ttf|zip|gz|tgz|wasm|bin)$/

const files = repositoryFiles().filter((file) => !BINARY.test(file) && lstatSync(join(root, file)).isFile())

describe('the files of the repository', () => {
  it('name no path of one machine and no registry', () => {
    const found = files.filter((file) => {
      const text = read(file)
      return MACHINE_PATH.test(text) || REGISTRY.test(text)
    })
    expect(found).toEqual([])
  })
})
