import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import { describe, expect, inject, it } from 'vitest'
import { npm } from '../../scripts/install.mjs'
import { run } from '../../scripts/processes.mjs'
import { packages, root } from '../workspace.ts'

describe.each(packages)('$manifest.name', ({ folder, manifest }) => {
  const tarball = () => inject('tarballs')[manifest.name] ?? ''

  it('could be published as it is', async () => {
    const { command, args } = npm('publish', tarball(), '--dry-run', '--access', 'public', '--json')
    const { code, output } = await run(command, args, { cwd: join(root, folder) })
    expect({ code, output }).toMatchObject({ code: 0 })
  })

  it('packs its build, readme and licence, and no sources or tests', async () => {
    const { output } = await run('tar', ['-tzf', tarball()])
    const files = output
      .trim()
      .split('\n')
      .map((file) => file.replace('package/', ''))
    expect(files).toEqual(expect.arrayContaining(['package.json', 'README.md', 'LICENSE']))
    const allowed = /^(?:dist\/|package\.json$|LICENSE$|[A-Z]+\.md$)/
    expect(files.filter((file) => !allowed.test(file))).toEqual([])
  })

  it('has no fault that publint knows', async () => {
    const bytes = await readFile(tarball())
    const { messages, pkg } = await publint({
      pack: { tarball: new Uint8Array(bytes).buffer },
      level: 'suggestion',
      strict: true,
    })
    expect(messages.map((message) => formatMessage(message, pkg, { color: false }))).toEqual([])
  })

  it('resolves its types from ESM, CJS and bundlers as attw checks it', async () => {
    const attw = join(root, 'node_modules/@arethetypeswrong/cli/dist/index.js')
    const args = [attw, tarball(), '--profile', 'node16', '--no-color', '--format', 'ascii']
    const { code, output } = await run(process.execPath, args, { cwd: root })
    expect({ code, output }).toMatchObject({ code: 0 })
  })
})
