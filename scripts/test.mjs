/**
 * `npm test`: installs what is missing, runs every check of the workspace on real servers, ends with one
 * summary. Uses Node built-ins alone, because it runs before anything is installed.
 *
 *   npm test                          everything
 *   npm test -- cache storage         only what belongs to these packages
 *   npm test -- --only unit,docs      only these steps
 */
import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { installPackages } from './install.mjs'
import { installCommand, installParts, testsNeeding } from './parts.mjs'
import { endSurvivors, run, stopAll } from './processes.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const MINUTE = 60_000
const PACKAGE_BUDGET = 100
const WORKSPACE = 'workspace'

const modules = (path) => join(root, 'node_modules', path)
const node = (path, ...args) => ({ command: process.execPath, args: [modules(path), ...args] })
const vitest = (...projects) => ({
  ...node(
    'vitest/vitest.mjs',
    'run',
    '--passWithNoTests',
    '--reporter=default',
    `--reporter=${join(root, 'scripts/test-reporter.mjs')}`,
    ...projects.flatMap((project) => ['--project', project]),
  ),
  counts: true,
})

/** Steps of one row run side by side; two at most, and only where neither measures time nor fills both cores. */
const rows = [
  [
    { name: 'lint', limit: 6, ...node('@biomejs/biome/bin/biome', 'check', '--error-on-warnings') },
    { name: 'types', limit: 10, ...node('typescript/bin/tsc', '-p') },
  ],
  [{ name: 'unit', limit: 12, ...vitest('unit', 'types', 'conventions') }],
  [{ name: 'integration', limit: 20, ...vitest('integration') }],
  [{ name: 'chaos', limit: 20, ...vitest('chaos') }],
  [{ name: 'browser', limit: 12, ...vitest('browser') }],
  [{ name: 'packaging', limit: 15, ...vitest('packaging') }],
  [{ name: 'docs', limit: 10, ...vitest('docs') }],
]
/** Steps that look at the workspace as a whole. */
const WHOLE = ['packaging', 'docs']
const stepNames = rows.flat().map(({ name }) => name)

const { only, places } = readArguments()
const tag = `CAYS_TEST_RUN=${randomUUID()}`
const started = performance.now()
const results = new Map()
const owned = new Map()
let current = []
let interrupted = false

function readArguments() {
  const usage = `usage: npm test -- [package…] [--only ${stepNames.join(',')}]`
  const refuse = (message) => {
    console.error(`${message}\n${usage}`)
    process.exit(2)
  }
  try {
    const { values, positionals } = parseArgs({
      options: { only: { type: 'string' } },
      allowPositionals: true,
    })
    const steps = values.only?.split(',').filter(Boolean) ?? stepNames
    const unknown = steps.find((step) => !stepNames.includes(step))
    if (unknown) refuse(`there is no step ${JSON.stringify(unknown)}`)
    const found = positionals.map((name) => {
      const place = ['packages', 'examples']
        .map((group) => `${group}/${name}`)
        .find((path) => existsSync(join(root, path)))
      return place ?? refuse(`there is no package ${JSON.stringify(name)}`)
    })
    return { only: steps, places: found }
  } catch (error) {
    return refuse(error.message)
  }
}

/** The arguments of a step for the packages asked for; nothing when the step knows only the whole workspace. */
function argumentsOf(step) {
  if (step.name === 'lint') return [...step.args, ...(places.length > 0 ? places : ['.'])]
  if (step.name === 'types') return [...step.args, 'tsconfig.json']
  if (step.counts && !WHOLE.includes(step.name)) return [...step.args, ...places.map((place) => `${place}/`)]
  if (places.length > 0) return undefined
  return step.args
}

function say(line) {
  if (process.stdout.isTTY) process.stdout.write('\r\x1b[2K')
  console.log(line)
}

const seconds = (value) => `${value.toFixed(1)} s`.padStart(9)
const placeOf = (file) => /^(?:packages|examples)\/[^/]+/.exec(file)?.[0] ?? WORKSPACE

async function runStep(step, args, env) {
  const result = { name: step.name, passed: 0, failed: 0, skipped: 0, files: 0, started: performance.now() }
  const places = new Map()
  results.set(step.name, result)
  const onMessage = (message) => {
    result.files++
    for (const key of ['passed', 'failed', 'skipped']) result[key] += message[key]
    const place = placeOf(message.file)
    places.set(place, (places.get(place) ?? 0) + message.seconds)
  }
  const {
    code,
    output,
    seconds: spent,
  } = await run(step.command, args, {
    cwd: root,
    env,
    limit: step.limit * MINUTE,
    ...(step.counts ? { onMessage } : {}),
  })
  // The signal's handler ends this process; no further step may start meanwhile.
  if (interrupted) return await new Promise(() => {})
  result.seconds = spent
  // A check without tests of its own counts as one; a run that fails outside its tests is one failure.
  if (!step.counts) result[code === 0 ? 'passed' : 'failed']++
  else if (code !== 0 && result.failed === 0) result.failed = 1
  // Files run side by side: each package owns its share of the step's time on the clock.
  const total = [...places.values()].reduce((sum, value) => sum + value, 0)
  for (const [place, value] of places) owned.set(place, (owned.get(place) ?? 0) + (value / total) * spent)
  const failed = code !== 0
  say(`${failed ? '✗' : '✓'} ${step.name.padEnd(12)}${seconds(spent)}  ${countsOf(step, result)}`)
  if (failed) say(`\n${output.trim()}\n`)
}

function countsOf(step, { files, passed, failed, skipped }) {
  if (!step.counts) return ''
  return `${files} files, ${passed} passed, ${failed} failed, ${skipped} skipped`
}

function progress() {
  const active = current
    .map((name) => results.get(name))
    .filter((result) => result && result.seconds === undefined)
    .map((result) => {
      const count = result.files > 0 ? ` ${result.files} files, ${result.passed} tests,` : ''
      return `${result.name}${count} ${Math.round((performance.now() - result.started) / 1_000)} s`
    })
  if (active.length === 0) return
  if (process.stdout.isTTY) process.stdout.write(`\r\x1b[2K  ${active.join(' · ')}`)
  else console.log(`  ${active.join(' · ')}`)
}

async function prepare() {
  const log = (line) => say(`  ${line}`)
  await installPackages(root, log)
  const missing = await installParts(log)
  for (const part of missing) {
    const how = installCommand([part])
    say(`! ${part.name} is not on this machine${how ? `: ${how}` : ', and no package of it is known here'}`)
  }
  if (missing.length > 0 && process.env.CI) throw new Error('CI is set: every part must be there')
  return missing.map(({ name }) => name)
}

async function main() {
  const missing = await prepare()
  const folder = await mkdtemp(join(tmpdir(), 'cays-'))
  // Servers that refuse to run as root are started under another account, which must get through.
  // As open as the system's own: tests run servers and programs as other users, too.
  await chmod(folder, 0o1777)
  const [name, id] = tag.split('=')
  const env = { ...process.env, [name]: id, TMPDIR: folder, CAYS_MISSING: missing.join(',') }
  delete env.NODE_OPTIONS
  if (!process.stdout.isTTY) env.NO_COLOR = '1'
  const timer = setInterval(progress, process.stdout.isTTY ? 1_000 : 15_000)
  const clean = async () => {
    clearInterval(timer)
    await stopAll()
    const left = await endSurvivors(tag, folder)
    await rm(folder, { recursive: true, force: true, maxRetries: 5 })
    return left
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.once(signal, async () => {
      interrupted = true
      say(`${signal}: ending what this run started`)
      await clean()
      process.exit(130)
    })
  }

  for (const row of rows) {
    const steps = row
      .filter(({ name }) => only.includes(name))
      .flatMap((step) => {
        const args = argumentsOf(step)
        return args ? [{ step, args }] : []
      })
    current = steps.map(({ step }) => step.name)
    await Promise.all(steps.map(({ step, args }) => runStep(step, args, env)))
  }

  const left = await clean()
  summarize(missing, left)
}

function summarize(missing, left) {
  const totals = { passed: 0, failed: 0, skipped: 0 }
  for (const result of results.values()) for (const key of Object.keys(totals)) totals[key] += result[key]
  const excluded = testsNeeding(missing, root).filter(
    (file) => places.length === 0 || places.includes(placeOf(file)),
  )
  totals.skipped += excluded.length

  console.log('\nseconds per step')
  for (const { name, seconds: spent } of results.values())
    console.log(`  ${name.padEnd(26)}${seconds(spent)}`)
  console.log(`  ${'total'.padEnd(26)}${seconds((performance.now() - started) / 1_000)}`)
  if (owned.size > 0) console.log('\nseconds of tests per package')
  for (const [place, spent] of [...owned].sort(([, a], [, b]) => b - a)) {
    const warning = place !== WORKSPACE && spent > PACKAGE_BUDGET ? `  over its ${PACKAGE_BUDGET} s` : ''
    console.log(`  ${place.padEnd(26)}${seconds(spent)}${warning}`)
  }
  console.log('')
  if (excluded.length > 0) console.log(`left out without ${missing.join(', ')}: ${excluded.length} files`)
  if (left.length > 0) {
    totals.failed++
    console.log('✗ still running after the tests, ended now:')
    for (const { pid, command } of left) console.log(`    ${pid} ${command}`)
  } else {
    totals.passed++
    console.log('✓ nothing left running')
  }
  console.log(`${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`)
  process.exitCode = totals.failed > 0 ? 1 : 0
}

try {
  await main()
} catch (error) {
  console.error(`\n${error.message}`)
  console.log('0 passed, 1 failed, 0 skipped')
  process.exitCode = 1
}
