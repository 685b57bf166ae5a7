import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { run } from '../../scripts/processes.mjs'
import { root } from '../workspace.ts'

describe('the API documentation', () => {
  it('builds without a warning, every export described', async () => {
    const typedoc = join(root, 'node_modules/typedoc/bin/typedoc')
    const { code, output } = await run(process.execPath, [typedoc, '--emit', 'none'], {
      cwd: root,
      env: { ...process.env, NO_COLOR: '1' },
      limit: 400_000,
    })
    const faults = output.split('\n').filter((line) => /\[(?:warning|error)\]/.test(line))
    expect({ code, faults }).toEqual({ code: 0, faults: [] })
  }, 420_000)
})
