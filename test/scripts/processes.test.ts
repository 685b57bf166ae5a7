import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { endSurvivors, run, survivors } from '../../scripts/processes.mjs'

let folder = ''

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'processes-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const node = (code: string, options = {}) => run(process.execPath, ['--eval', code], options)

describe('a program of a script', () => {
  it('answers its exit code and everything it printed', async () => {
    const { code, output } = await node('console.log("out"); console.error("err"); process.exit(3)')
    expect({ code, output }).toEqual({ code: 3, output: expect.stringMatching(/out|err/) })
    expect(output).toContain('out')
    expect(output).toContain('err')
  })

  it('that does not exist fails and says so', async () => {
    expect(await run('no-such-program', [])).toMatchObject({
      code: 127,
      output: expect.stringContaining('no-such-program'),
    })
  })

  it('is ended with its children when its time is over', async () => {
    const code = `
      require('node:child_process').spawn('sleep', ['60'], { cwd: ${JSON.stringify(folder)}, stdio: 'ignore' })
      setInterval(() => {}, 1000)
    `
    const ended = await node(code, { limit: 500 })
    expect(ended.code).not.toBe(0)
    expect(ended.output).toContain('limit')
    expect(await survivors('no tag', folder)).toEqual([])
  })
})

describe('what a run leaves behind', () => {
  it('is found by its environment although it left its parent and its folder, and ended', async () => {
    const tag = `CAYS_TEST_RUN=${Math.random()}`
    const [name = '', value] = tag.split('=')
    const spawn = `require('node:child_process').spawn('sleep', ['60'], { detached: true, stdio: 'ignore' }).unref()`
    await node(spawn, { env: { ...process.env, [name]: value }, cwd: folder })
    expect(await endSurvivors(tag, folder, 0)).toMatchObject([{ command: 'sleep 60' }])
    expect(await endSurvivors(tag, folder, 2_000)).toEqual([])
  })
})
