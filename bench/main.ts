/** What `npm run bench` runs once everything is installed and built. */
import { existsSync, readdirSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { arch, cpus, loadavg, type } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { contest } from './contest.ts'
import type { BenchmarkCase } from './define-case.ts'
import { benchmarksPage } from './docs-page.ts'
import { type Figure, figuresOf, type Measurement } from './figures.ts'
import { versionOf } from './peer.ts'
import { startServers } from './servers.ts'
import { tableOf } from './table.ts'

const root = join(import.meta.dirname, '..')
const from = process.env.INIT_CWD ?? process.cwd()
const ENDING = '.bench.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'string' }, 'write-docs': { type: 'string' } },
})

if (values['write-docs']) {
  const results = await readFile(resolve(from, values['write-docs']), 'utf8')
  await writeFile(join(root, 'docs/benchmarks.md'), benchmarksPage(JSON.parse(results) as readonly Figure[]))
} else {
  await measureAll()
}

async function measureAll(): Promise<void> {
  const figures: Figure[] = []
  const failed: string[] = []
  for (const found of cases()) {
    try {
      const results = await measure(found)
      console.log(`${tableOf(results)}\n`)
      figures.push(...results)
    } catch (error) {
      failed.push(found.title)
      console.error(
        `${found.title} could not be measured: ${error instanceof Error ? error.message : error}\n`,
      )
    }
  }
  if (values.json) await writeFile(resolve(from, values.json), `${JSON.stringify(figures, null, 2)}\n`)
  const count = (verdict: Figure['verdict']) => figures.filter((figure) => figure.verdict === verdict).length
  const outcome = `${count('met')} met, ${count('missed')} missed, ${count('inconclusive')} inconclusive`
  console.log(failed.length > 0 ? `${outcome}; not measured: ${failed.join(', ')}` : outcome)
  if (failed.length > 0 || count('missed') > 0) process.exitCode = 1
}

interface FoundCase {
  /** `cache` */
  readonly name: string
  readonly folder: string
  readonly file: string
  /** `cache/l1-hit` */
  readonly title: string
}

/** The cases asked for by package, or by package and case (`cache/l1-hit`); without asking, all. */
function cases(): readonly FoundCase[] {
  const all = readdirSync(join(root, 'packages')).flatMap((name) => {
    const folder = join(root, 'packages', name)
    const bench = join(folder, 'bench')
    if (!existsSync(bench)) return []
    return readdirSync(bench)
      .filter((file) => file.endsWith(ENDING))
      .sort()
      .map((file) => ({
        name,
        folder,
        file: join(bench, file),
        title: `${name}/${file.slice(0, -ENDING.length)}`,
      }))
  })
  const unknown = positionals.find(
    (asked) => !all.some(({ name, title }) => asked === name || asked === title),
  )
  if (unknown) throw new Error(`no case of ${unknown}; there are ${all.map(({ title }) => title).join(', ')}`)
  if (positionals.length === 0) return all
  return all.filter(({ name, title }) => positionals.includes(name) || positionals.includes(title))
}

async function measure({ name, folder, file }: FoundCase): Promise<readonly Figure[]> {
  const { benchmark } = (await import(pathToFileURL(file).href)) as {
    readonly benchmark: Required<BenchmarkCase>
  }
  await using servers = await startServers(benchmark.needs)
  const measured = measurement()
  const { redisUrl, primaryUrl, replicaUrls, farUrls } = servers
  const results = await contest(benchmark, file, { redisUrl, primaryUrl, replicaUrls, farUrls })
  const versions = benchmark.contenders.flatMap((contender) => {
    const version = versionOf(contender.name, folder)
    return version === undefined ? [] : [[contender.name, version] as const]
  })
  return figuresOf(benchmark, results, {
    package: `@cays/${name}`,
    versions: { node: process.versions.node, ...Object.fromEntries(versions) },
    measured,
  })
}

function measurement(): Measurement {
  const processors = cpus()
  return {
    at: new Date().toISOString(),
    processor: processors[0]?.model ?? 'unknown processor',
    cores: processors.length,
    platform: `${type()} ${arch()}`,
    load: Number((loadavg()[0] ?? 0).toFixed(1)),
  }
}
