import { join } from 'node:path'
import { describe, expect, inject, it } from 'vitest'
import { run } from '../../scripts/processes.mjs'
import { packages } from '../workspace.ts'

const commands = packages.flatMap(({ manifest }) =>
  Object.keys((manifest.bin as Readonly<Record<string, string>> | undefined) ?? {}),
)

describe.each(commands)('the command %s', (name) => {
  it('runs where its package is installed, and explains itself', async () => {
    const folder = inject('newest')
    const env = { ...process.env, NODE_OPTIONS: '', NODE_NO_WARNINGS: '1' }
    const { code, output } = await run(join(folder, 'node_modules/.bin', name), ['--help'], {
      cwd: folder,
      env,
    })
    expect(output).toContain(`usage: ${name}`)
    expect(code).toBe(2)
  })
})
