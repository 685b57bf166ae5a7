import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build, type Rollup, transformWithEsbuild } from 'vite'
import { expect, it } from 'vitest'

it('the browser client stays small and brings no dependency along', async () => {
  const [built] = (await build({
    configFile: false,
    logLevel: 'silent',
    resolve: { conditions: ['@cays/source'] },
    build: {
      write: false,
      target: 'es2022',
      lib: { entry: fileURLToPath(new URL('../../src/browser.ts', import.meta.url)), formats: ['es'] },
    },
  })) as Rollup.RollupOutput[]
  // Vite leaves the whitespace of libraries in.
  const bundle = built?.output[0].code ?? ''
  const { code } = await transformWithEsbuild(bundle, 'browser.js', { minify: true, target: 'es2022' })
  const size = gzipSync(code).length
  console.log(`browser client: ${size} bytes min+gzip`)
  expect(code.length).toBeGreaterThan(3_000)
  expect(code).not.toMatch(/\bfrom\s*["']|require\(/)
  expect(size).toBeLessThanOrEqual(4 * 1_024)
}, 30_000)
