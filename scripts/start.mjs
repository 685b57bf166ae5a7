// `npm start`: from a fresh clone to a job board in the browser. Node built-ins alone, since it runs before
// anything is installed. Arguments go to the demo: --port, --size tiny|10k, --verbose.
import { spawn } from 'node:child_process'
import { readdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { installPackages } from './install.mjs'
import { installCommand, installParts, missingParts } from './parts.mjs'
import { run } from './processes.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const app = join(root, 'examples/reference-app')
const say = (text) => process.stdout.write(`${text}\n`)
const step = (text) => say(`  ${text} …`)

say('\nHarbour, the job board that shows what Cays does\n')
try {
  await installPackages(root, step)
  const redis = await redisFrom()
  if (webIsStale()) {
    step('Building the pages')
    // The app's own vite, which is newer than the one the tests run on.
    const vite = join(app, 'node_modules/vite/bin/vite.js')
    const { code, output } = await run(process.execPath, [vite, 'build', 'web'], { cwd: app })
    if (code !== 0) throw new Error(`the pages could not be built\n\n${output}`)
  }
  runDemo(redis)
} catch (error) {
  say(`\n${error instanceof Error ? error.message : error}`)
  process.exitCode = 1
}

/** `REDIS_URL`, else the machine's server, else Debian's package where that needs no question, else none. */
async function redisFrom() {
  if (process.env.REDIS_URL) return process.env.REDIS_URL
  if (missingParts(['redis']).length === 0) return 'start'
  const missing = await installParts(step, ['redis'])
  if (missing.length === 0) return 'start'
  say(`
  There is no redis-server here, so this runs one node that keeps sessions, limits and live messages in its
  own memory. To see the whole system, install it and start again:

    ${installCommand(missing)}
`)
  return 'none'
}

function webIsStale() {
  const newest = (folder) =>
    readdirSync(folder, { withFileTypes: true }).reduce((latest, entry) => {
      if (entry.name === 'dist' || entry.name === 'node_modules') return latest
      const path = join(folder, entry.name)
      return Math.max(latest, entry.isDirectory() ? newest(path) : statSync(path).mtimeMs)
    }, 0)
  try {
    const built = statSync(join(app, 'web/dist/index.html')).mtimeMs
    return Math.max(newest(join(app, 'web')), newest(join(app, 'contract'))) > built
  } catch {
    return true
  }
}

function runDemo(redis) {
  const demo = spawn(
    process.execPath,
    [
      '--import',
      'tsx',
      '--conditions=@cays/source',
      join(app, 'server/demo/start.ts'),
      '--redis',
      redis,
      ...process.argv.slice(2),
    ],
    {
      cwd: root,
      stdio: 'inherit',
      // The lock file pins an SDK that runs here; its notice about later ones would greet every visitor.
      env: { ...process.env, AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true' },
    },
  )
  // Ctrl-C reaches the demo by itself, as it does every program in the terminal; a signal to this one does not.
  process.on('SIGINT', () => {})
  process.on('SIGTERM', () => demo.kill('SIGTERM'))
  demo.on('exit', (code, signal) => {
    process.exitCode = code ?? (signal ? 1 : 0)
  })
}
