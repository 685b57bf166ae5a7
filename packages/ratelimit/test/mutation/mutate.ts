import { createHash } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type RedisScript, redisScript } from '@cays/core/redis-script'
import { startRedis } from '@cays/testkit'
import { Redis } from 'ioredis'
import { decideScript } from '../../src/redis-decide.ts'
import { nodesScript } from '../../src/redis-nodes.ts'
import { SLOT_SCRIPTS, tryNodes, trySlots } from '../model/fleet-trials.ts'
import { type Ground, SCRIPT_TRIALS } from '../model/script-trials.ts'

// `npm run mutate -w @cays/ratelimit`: takes every line out of every Lua script, one at a time, and prints those
// without which no trial fails. What was found is kept, so that the next run goes on where this one stopped.
// With --time the run ends after so many seconds, with --sample it tries so many lines chosen at random.

const { values } = parseArgs({
  options: { time: { type: 'string', default: '3600' }, sample: { type: 'string' } },
})
const SEEDS = 10
const results = fileURLToPath(
  new URL('../../../../node_modules/.cache/cays/ratelimit-mutants.json', import.meta.url),
)

type Try = (ground: Ground, script: RedisScript) => Promise<void>

async function decides(ground: Ground, script: RedisScript): Promise<void> {
  for (const { run, seeded } of SCRIPT_TRIALS) {
    for (let seed = 0; seed < (seeded ? SEEDS : 1); seed++) await run(ground, script, seed)
  }
}

const scripts: readonly { readonly name: string; readonly script: RedisScript; readonly attempt: Try }[] = [
  { name: 'nodes', script: nodesScript, attempt: tryNodes },
  ...Object.entries(SLOT_SCRIPTS).map(([name, script]) => ({
    name,
    script,
    attempt: (ground: Ground, mutant: RedisScript) => trySlots(ground, { ...SLOT_SCRIPTS, [name]: mutant }),
  })),
  { name: 'decide', script: decideScript, attempt: decides },
]

interface Mutant {
  readonly id: string
  readonly name: string
  readonly line: number
  readonly text: string
  readonly script: RedisScript
  readonly attempt: Try
}

function mutants(): Mutant[] {
  return scripts.flatMap(({ name, script, attempt }) => {
    const lines = script.lua.split('\n')
    const version = createHash('sha1').update(script.lua).digest('hex').slice(0, 12)
    return lines.flatMap((text, index) => {
      if (text.trim() === '' || text.trim().startsWith('--')) return []
      const mutated = redisScript(lines.toSpliced(index, 1).join('\n'))
      return [{ id: `${name}:${version}:${index}`, name, line: index, text, script: mutated, attempt }]
    })
  })
}

interface Place extends AsyncDisposable {
  readonly ground: Ground
}

async function start(): Promise<Place> {
  const server = await startRedis()
  const ground = { user: new Redis(server.url), operator: new Redis(server.url) }
  for (const client of [ground.user, ground.operator]) client.on('error', () => {})
  return {
    ground,
    async [Symbol.asyncDispose]() {
      ground.user.disconnect()
      ground.operator.disconnect()
      await server.close()
    },
  }
}

async function isMissed({ attempt, script }: Mutant, { ground }: Place): Promise<boolean> {
  try {
    await attempt(ground, script)
    return false
  } catch {
    return true
  }
}

/** False when a script loops in it: the server answers nothing else then. */
async function answers({ ground }: Place): Promise<boolean> {
  const late = new Promise<false>((resolve) => setTimeout(resolve, 2_000, false))
  return await Promise.race([
    ground.operator.ping().then(
      () => true,
      () => false,
    ),
    late,
  ])
}

const known: Record<string, boolean> = JSON.parse(await readFile(results, 'utf8').catch(() => '{}'))
const all = mutants()
const sample = values.sample === undefined ? undefined : Number(values.sample)
const open = all.filter(({ id }) => known[id] !== true)
if (sample !== undefined) open.sort(() => Math.random() - 0.5).splice(sample)
const end = performance.now() + Number(values.time) * 1_000

await mkdir(dirname(results), { recursive: true })
let place = await start()
for (const { name, script, attempt } of scripts) {
  await attempt(place.ground, script).catch((error: unknown) => {
    throw new Error(`${name} fails as it is`, { cause: error })
  })
}
const survivors: Mutant[] = []
let tried = 0
for (const mutant of open) {
  if (performance.now() > end) break
  tried++
  known[mutant.id] = await isMissed(mutant, place)
  if (!(await answers(place))) {
    await place[Symbol.asyncDispose]()
    place = await start()
  }
  if (!known[mutant.id]) {
    survivors.push(mutant)
    console.log(`${mutant.name}, line ${mutant.line}, is not missed: ${mutant.text.trim()}`)
  }
  await writeFile(results, JSON.stringify(known))
}
await place[Symbol.asyncDispose]()
const done = all.filter(({ id }) => known[id]).length
console.log(
  `${tried} lines tried, ${survivors.length} not missed; ${done} of ${all.length} are known to be needed`,
)
process.exitCode = survivors.length === 0 ? 0 : 1
