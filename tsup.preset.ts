import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { Options } from 'tsup'

interface Manifest {
  readonly exports: Readonly<Record<string, string | { readonly '@cays/source'?: string }>>
}

// Dependencies that are ESM only: an ESM build imports them, but a `require()` of them fails under Jest, so a
// CommonJS build carries them, and what they stand on, inside.
const ESM_ONLY = ['file-type']

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
    noExternal: ESM_ONLY,
    esbuildOptions(options, { format }) {
      // What a package carries of a sibling comes from its sources: the sibling may be building at that moment.
      options.conditions = ['@cays/source']
      if (format === 'esm') options.external = [...(options.external ?? []), ...ESM_ONLY]
    },
    metafile: true,
    async onSuccess() {
      writeLicences()
    },
    ...overrides,
  }
}

interface Metafile {
  readonly inputs: Readonly<Record<string, unknown>>
}

/** Puts the licences of what a build carries inside beside it, as they ask for. */
function writeLicences(): void {
  const folders = new Set<string>()
  for (const format of ['esm', 'cjs']) {
    const file = `dist/metafile-${format}.json`
    const { inputs } = JSON.parse(readFileSync(file, 'utf8')) as Metafile
    for (const input of Object.keys(inputs)) {
      const folder = /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input)?.[0]
      if (folder && existsSync(folder)) folders.add(folder)
    }
    rmSync(file)
  }
  if (folders.size === 0) return
  const notices = [...folders].sort().map((folder) => {
    const { name } = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8')) as { readonly name: string }
    const licence = readdirSync(folder).find((file) => /^licen[cs]e/i.test(file))
    if (!licence) throw new Error(`${name} is bundled but has no licence file`)
    return `${name}\n\n${readFileSync(`${folder}/${licence}`, 'utf8').trim()}\n`
  })
  writeFileSync('dist/third-party-licences.txt', notices.join(`\n${'-'.repeat(80)}\n\n`))
}
