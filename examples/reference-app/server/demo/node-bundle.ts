import { fileURLToPath } from 'node:url'
import { build, type Plugin } from 'esbuild'

const APP = new URL('../../', import.meta.url)

/**
 * Writes what a node runs as one file and gives its path, so that no node has to compile its sources whenever it
 * starts.
 */
export async function bundleNode(): Promise<string> {
  // As deep as `server`, so that both find the pages at the same place; a file per stack, since two may start.
  const outfile = fileURLToPath(new URL(`dist/node-${process.pid}.mjs`, APP))
  await build({
    entryPoints: [fileURLToPath(new URL('server/main.ts', APP))],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    conditions: ['@cays/source'],
    plugins: [installedStaysOutside],
  })
  return outfile
}

/** The packages of this repository come in from their sources; what npm installed is imported as ever. */
const installedStaysOutside: Plugin = {
  name: 'installed-stays-outside',
  setup(bundle) {
    bundle.onResolve({ filter: /^[^./]/ }, ({ path, kind }) =>
      kind === 'entry-point' || path.startsWith('@cays/') ? undefined : { path, external: true },
    )
  },
}
