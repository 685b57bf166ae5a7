import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { run } from '../../scripts/processes.mjs'
import { packages, root } from '../workspace.ts'

interface Report {
  readonly issues: readonly ({ readonly file: string } & Readonly<Record<string, unknown>>)[]
}

// Work in progress has parts that nothing uses yet: a package or the app counts once it is documented.
const finished = packages.filter(({ documented }) => documented).map(({ folder }) => `${folder}/`)
const app = 'examples/reference-app/'
if (existsSync(join(root, app, 'README.md'))) finished.push(app)

describe('files, exports and dependencies', () => {
  it('are all used, and all that is used is declared', async () => {
    const knip = join(root, 'node_modules/knip/bin/knip.js')
    const { output } = await run(process.execPath, [knip, '--reporter', 'json', '--no-config-hints'], {
      cwd: root,
    })
    const { issues } = JSON.parse(output.slice(output.indexOf('{"issues"'))) as Report
    const found = issues
      .filter(
        ({ file }) =>
          !/^(?:packages|examples)\//.test(file) || finished.some((folder) => file.startsWith(folder)),
      )
      .flatMap(({ file, ...kinds }) =>
        Object.entries(kinds).flatMap(([kind, list]) =>
          Array.isArray(list)
            ? list.map((one: { readonly name?: string }) => `${file}: ${kind} ${one.name}`)
            : [],
        ),
      )
    expect(found).toEqual([])
  })
})
