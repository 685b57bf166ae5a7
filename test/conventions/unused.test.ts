import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { run } from '../../scripts/processes.mjs'
import { root } from '../workspace.ts'

describe('files, exports and dependencies', () => {
  it('are all used, and all that is used is declared', async () => {
    const knip = join(root, 'node_modules/knip/bin/knip.js')
    const { code, output } = await run(process.execPath, [knip, '--no-config-hints'], { cwd: root })
    expect({ code, output }).toMatchObject({ code: 0 })
  })
})
