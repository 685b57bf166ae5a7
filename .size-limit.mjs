import { existsSync, readdirSync, readFileSync } from 'node:fs'

/** What an entry may weigh minified and compressed with Brotli, its dependencies included, its peers not. */
const LIMITS = {
  '@cays/cache': '27 kB',
  '@cays/db-router': '30 kB',
  '@cays/ratelimit': '23 kB',
  '@cays/ratelimit/testing': '21 kB',
  '@cays/realtime': '25 kB',
  '@cays/storage': '48 kB',
  '@cays/testkit': '50 kB',
  '@cays/core/error': '700 B',
  '@cays/core/options': '1.3 kB',
  '@cays/core/otel': '1.3 kB',
  '@cays/core/prometheus': '1.5 kB',
}
const OTHERS = '10 kB'

/** What visitors download, compressed with gzip; an import of a Node module fails the measurement. */
const IN_BROWSERS = {
  '@cays/realtime/client': '6 kB',
  '@cays/realtime/client/sse': '2 kB',
  '@cays/realtime/react': '2 kB',
  '@cays/storage/browser': '4 kB',
}

const manifests = readdirSync('packages')
  .map((name) => ({ folder: `packages/${name}`, file: `packages/${name}/package.json` }))
  .filter(({ file, folder }) => existsSync(file) && existsSync(`${folder}/dist`))
  .map(({ folder, file }) => ({ folder, manifest: JSON.parse(readFileSync(file, 'utf8')) }))

export default manifests.flatMap(({ folder, manifest }) =>
  Object.entries(manifest.exports)
    .filter(([, target]) => target.import)
    .map(([subpath, target]) => {
      const name = manifest.name + subpath.slice(1)
      const gzip = name in IN_BROWSERS
      const platform = gzip ? 'browser' : 'node'
      return {
        name,
        path: `${folder}/${target.import.default.slice(2)}`,
        limit: IN_BROWSERS[name] ?? LIMITS[name] ?? OTHERS,
        gzip,
        ignore: Object.keys(manifest.peerDependencies ?? {}),
        modifyEsbuildConfig: (config) => ({ ...config, platform, format: 'esm', logLevel: 'error' }),
      }
    }),
)
