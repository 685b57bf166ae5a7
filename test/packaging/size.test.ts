import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { run } from '../../scripts/processes.mjs'
import { root } from '../workspace.ts'
import { specifiers } from './consumer.ts'

interface Measured {
  readonly name: string
  readonly size: number
  readonly sizeLimit: number
}

describe('the size of every entry', () => {
  it('stays below its limit', async () => {
    const cli = join(root, 'node_modules/size-limit/bin.js')
    const { output } = await run(process.execPath, [cli, '--json'], { cwd: root })
    const measured = JSON.parse(output.slice(output.indexOf('['))) as Measured[]
    expect(measured.map(({ name }) => name)).toEqual(expect.arrayContaining([...specifiers]))
    const tooLarge = measured
      .filter(({ size, sizeLimit }) => size > sizeLimit)
      .map(({ name, size, sizeLimit }) => `${name} is ${size} B, at most ${sizeLimit} B`)
    expect(tooLarge).toEqual([])
  })
})
