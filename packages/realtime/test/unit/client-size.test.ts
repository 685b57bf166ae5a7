import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { expect, it } from 'vitest'

it('the browser client stays small and brings no dependency along', async () => {
  const result = await build({
    entryPoints: [new URL('../../src/client.ts', import.meta.url).pathname],
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    conditions: ['@cays/source'],
  })
  const [file] = result.outputFiles
  const size = gzipSync(file?.contents ?? new Uint8Array()).length
  console.log(`client: ${size} bytes min+gzip`)
  expect(file?.text).not.toMatch(/\bfrom\s*["']|require\(/)
  expect(size).toBeLessThanOrEqual(6 * 1_024)
})
