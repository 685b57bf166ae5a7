import { isBuiltin } from 'node:module'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import { filesUnder, packageOf, packages, read } from '../workspace.ts'

const ENDINGS = ['.js', '.cjs', '.d.ts', '.d.cts']

describe.each(packages)('$manifest.name', ({ folder, manifest }) => {
  it('imports nothing in its build but built-ins and what it declares', () => {
    const declared = new Set([
      manifest.name,
      ...Object.keys(manifest.dependencies ?? {}),
      ...Object.keys(manifest.peerDependencies ?? {}),
    ])
    const files = ENDINGS.flatMap((ending) => filesUnder(`${folder}/dist`, ending))
    expect(files).not.toEqual([])
    const stray = files.flatMap((file) =>
      importsOf(read(file))
        .filter((specifier) => !specifier.startsWith('.') && !isBuiltin(specifier))
        .filter((specifier) => !declared.has(packageOf(specifier)))
        .map((specifier) => `${file}: ${specifier}`),
    )
    expect(stray).toEqual([])
  })
})

/** Every specifier of `import`, `export from`, `import()`, `require()` and `import('…').Type` in a file. */
function importsOf(text: string): readonly string[] {
  const { importedFiles, typeReferenceDirectives } = ts.preProcessFile(text, true, true)
  return [...importedFiles, ...typeReferenceDirectives].map(({ fileName }) => fileName)
}
