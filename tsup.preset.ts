import { readFileSync } from 'node:fs'
import type { Options } from 'tsup'

interface Manifest {
  readonly exports: Readonly<Record<string, string | { readonly '@cays/source'?: string }>>
}

/**
 * The one build of the family. A package's entries are the `@cays/source` conditions of its
 * `exports`, so an entry is declared once; everything declared as dependency or peer stays external.
 *
 * Call it from a package's folder, which is where tsup runs its config.
 */
export function preset(overrides: Options = {}): Options {
  const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as Manifest
  const entry = Object.values(manifest.exports).flatMap((target) =>
    typeof target === 'object' && target['@cays/source'] ? [target['@cays/source']] : [],
  )
  return {
    entry,
    format: ['esm', 'cjs'],
    target: 'node20.19',
    platform: 'node',
    dts: true,
    clean: true,
    splitting: true,
    treeshake: true,
    sourcemap: true,
    // p-limit is ESM only: a `require()` of it under Jest fails, so it travels inside the build.
    noExternal: ['p-limit', 'yocto-queue'],
    ...overrides,
  }
}
