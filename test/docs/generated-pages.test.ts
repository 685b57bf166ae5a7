import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { referencePages } from '../../scripts/reference-pages.mjs'
import { filesUnder, packages, read, root } from '../workspace.ts'

const pages = await referencePages()

describe('the generated pages', () => {
  it.each(Object.keys(pages))('%s is what `npm run docs` writes', (file) => {
    expect(existsSync(join(root, file))).toBe(true)
    expect(read(file)).toBe(pages[file])
  })

  it('list every channel that the sources name', () => {
    const named = packages.flatMap(({ folder, name }) =>
      filesUnder(`${folder}/src`, '.ts').flatMap((file) =>
        [...read(file).matchAll(/['"`](cays:[a-z-]+:[a-z-]+)['"`]/g)]
          .flatMap(([, channel]) => channel ?? [])
          .filter((channel) => channel.startsWith(`cays:${name}:`)),
      ),
    )
    const telemetry = read('docs/telemetry.md')
    expect(named.filter((channel) => !telemetry.includes(`\`${channel}\``))).toEqual([])
  })
})
