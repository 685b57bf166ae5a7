import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, inject, it } from 'vitest'
import { run } from '../../scripts/processes.mjs'
import { root } from '../workspace.ts'
import { specifiers } from './consumer.ts'

const SETTINGS = [
  { name: 'Node', files: ['all.mts', 'all.cts'], options: { module: 'nodenext' } },
  { name: 'a bundler', files: ['all.ts'], options: { module: 'esnext', moduleResolution: 'bundler' } },
]

describe('the declarations', () => {
  it.each(SETTINGS)('compile in strict TypeScript for $name', async ({ name, files, options }) => {
    const folder = join(inject('newest'), name.replace(/\W+/g, '-'))
    await mkdir(folder)
    const imports = specifiers.map((specifier, i) => `import * as entry${i} from '${specifier}'`)
    const uses = specifiers.map((_, i) => `entry${i}`)
    const text = `${imports.join('\n')}\nexport const all = [${uses.join(', ')}]\n`
    for (const file of files) await writeFile(join(folder, file), text)
    const compilerOptions = {
      ...options,
      target: 'es2022',
      lib: ['es2022', 'esnext.disposable', 'dom'],
      types: ['node'],
      strict: true,
      exactOptionalPropertyTypes: true,
      noEmit: true,
    }
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }))
    const tsc = join(root, 'node_modules/typescript/bin/tsc')
    const { output } = await run(process.execPath, [tsc, '-p', folder, '--pretty', 'false'], { cwd: folder })
    // Declaration files are checked too; those of third parties may have faults of their own.
    const faults = output
      .split('\n')
      .filter((line) => line.includes('error TS'))
      .filter((line) => !line.includes('node_modules/') || line.includes('node_modules/@cays/'))
    expect(faults).toEqual([])
  })
})
