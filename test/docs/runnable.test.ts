import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { startPostgres, startR2, startRedis } from '@cays/testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { run } from '../../scripts/processes.mjs'
import { root } from '../workspace.ts'
import { type CodeBlock, codeBlocks, markdownFiles } from './markdown.ts'

const blocks = markdownFiles.flatMap(codeBlocks).filter(({ info }) => info === 'ts run')
// Inside the workspace, so that the packages and their peers resolve as they do in an app.
const folder = join(root, '.cays/docs')

describe.runIf(blocks.length > 0)('the runnable examples, against real servers', () => {
  const env: Record<string, string> = {}
  const closers: (() => Promise<void>)[] = []

  beforeAll(async () => {
    await mkdir(folder, { recursive: true })
    const [postgres, redis, r2] = await Promise.all([
      startPostgres({ replicas: 1 }),
      startRedis({ mode: 'standalone' }),
      startR2({ buckets: ['files'] }),
    ])
    closers.push(
      () => postgres.close(),
      () => redis.close(),
      () => r2.close(),
    )
    const [replica = postgres.urls.primary] = postgres.urls.replicas
    Object.assign(env, {
      DATABASE_URL: postgres.urls.primary,
      REPLICA_URL: replica,
      REDIS_URL: redis.url,
      S3_ENDPOINT: r2.url,
      S3_BUCKET: 'files',
      S3_ACCESS_KEY_ID: r2.accessKeyId,
      S3_SECRET_ACCESS_KEY: r2.secretAccessKey,
    })
  }, 60_000)

  afterAll(async () => {
    await Promise.all(closers.map((close) => close()))
    await rm(folder, { recursive: true, force: true })
  })

  it.each(blocks)('$file, line $line, runs to its last line', async (block) => {
    const { code, output } = await execute(block, env)
    expect({ code, output }).toMatchObject({ code: 0 })
  })
})

async function execute(block: CodeBlock, env: Readonly<Record<string, string>>) {
  const path = join(folder, `${block.file.replace(/\W+/g, '-')}-${block.line}.ts`)
  await writeFile(path, block.code)
  // A quick start leaves its connections open, as an app does: it has run when its last line has.
  const runner = `await import(process.env.BLOCK); setTimeout(() => process.exit(), 200)`
  const args = ['--import', 'tsx', '--conditions=@cays/source', '--input-type=module', '--eval', runner]
  return await run(process.execPath, args, {
    cwd: root,
    env: { ...process.env, ...env, BLOCK: path },
    limit: 20_000,
  })
}
