import { describe, expect, it } from 'vitest'
import { type Manifest, packages, read, readJson, type Target } from '../workspace.ts'

const workspace = readJson<Manifest>('package.json')

describe.each(packages)('the manifest of $manifest.name', ({ manifest, folder, entries }) => {
  it('declares each entry once, in the family’s shape', () => {
    for (const { subpath, source } of entries) {
      const built = `./${source.replace(/^src\//, 'dist/').replace(/\.ts$/, '')}`
      const expected: Target = {
        '@cays/source': `./${source}`,
        import: { types: `${built}.d.ts`, default: `${built}.js` },
        require: { types: `${built}.d.cts`, default: `${built}.cjs` },
      }
      // The order counts: the first condition that fits wins.
      expect(JSON.stringify(manifest.exports[subpath])).toBe(JSON.stringify(expected))
      const name = subpath === '.' ? 'index' : subpath.slice(2)
      expect(source).toBe(`src/${name}.ts`)
    }
    const subpaths = [...entries.map(({ subpath }) => subpath), './package.json']
    expect(Object.keys(manifest.exports)).toEqual(subpaths)
    expect(manifest.exports['./package.json']).toBe('./package.json')
  })

  it('points old tools at the root entry, if there is one', () => {
    const { main, module, types } = manifest
    const root = { main: './dist/index.cjs', module: './dist/index.js', types: './dist/index.d.ts' }
    const none = { main: undefined, module: undefined, types: undefined }
    expect({ main, module, types }).toEqual('.' in manifest.exports ? root : none)
  })

  it('agrees with its siblings', () => {
    expect(manifest).toMatchObject({
      license: workspace.license,
      type: 'module',
      sideEffects: false,
      engines: workspace.engines,
      publishConfig: { access: 'public', provenance: true },
      repository: { type: 'git', directory: folder },
    })
    // Beside the build only documents travel.
    expect(manifest.files?.filter((file) => !file.endsWith('.md'))).toEqual(['dist'])
    expect(manifest.repository?.url).toBe(packages[0]?.manifest.repository?.url)
    expect(read(`${folder}/LICENSE`)).toBe(read('LICENSE'))
  })

  it('depends on the family by its present version', () => {
    const versions = new Map(packages.map((one) => [one.manifest.name, one.manifest.version]))
    const links = { ...manifest.dependencies, ...manifest.devDependencies, ...manifest.peerDependencies }
    for (const [name, range] of Object.entries(links)) {
      if (versions.has(name)) expect(`${name}@${range}`).toBe(`${name}@${versions.get(name)}`)
    }
  })
})
