import type { Figure } from './figures.ts'
import { spreadText } from './table.ts'

const MEANING = {
  met: 'The bound holds.',
  missed: 'The bound does not hold.',
  inconclusive: 'The machine was too unsteady to tell.',
} as const

/** `docs/benchmarks.md`, from the results of a run; the bad ones too. */
export function benchmarksPage(figures: readonly Figure[]): string {
  const [first] = figures
  if (!first) throw new Error('no results to write about')
  const { at, processor, cores, platform } = first.measured
  const loads = figures.map(({ measured }) => measured.load)
  const load = new Set(loads).size > 1 ? `${Math.min(...loads)} to ${Math.max(...loads)}` : `${loads[0]}`
  const busy = Math.max(...loads) > cores
  const packages = [...new Set(figures.map((figure) => figure.package))]
  const count = (verdict: Figure['verdict']) => figures.filter((figure) => figure.verdict === verdict).length
  return `# Benchmarks

Written by \`npm run bench -- --write-docs bench/results.json\`; do not edit. \`npm run bench\` measures again.

${at.slice(0, 10)}, ${processor}, ${cores} cores, ${platform}. Processes that wanted a core meanwhile: ${load}.
${
  busy
    ? 'The machine was shared and busy: ratios say more than times, and several figures can only be told apart on a quiet one.\n'
    : ''
}
${count('met')} met, ${count('missed')} missed, ${count('inconclusive')} inconclusive.

| verdict | means |
| --- | --- |
${Object.entries(MEANING)
  .map(([verdict, meaning]) => `| ${verdict} | ${meaning} |`)
  .join('\n')}

How: every contender works in a process of its own that runs the built packages, one at a time, in rounds whose order
changes; a second process of ours is measured as the control. A value is the median of the rounds' comparisons; the
interval holds that median with a probability of at least 93 %. A figure is inconclusive when the control differs
from itself by more than half the margin, when the bound lies inside the interval, or when a bound in µs is exceeded on a
busy machine, where everything costs more. "CPU" is user and system time
of the contender's process per operation; "time" is the clock's. Memory is resident memory after a round.

${packages.map((name) => sectionOf(name, figures)).join('\n')}
## Versions

${Object.entries(Object.assign({}, ...figures.map(({ versions }) => versions)) as Record<string, string>)
  .sort(([a], [b]) => (a < b ? -1 : 1))
  .map(([name, version]) => `${name} ${version}`)
  .join(', ')}
`
}

function sectionOf(name: string, figures: readonly Figure[]): string {
  const own = figures.filter((figure) => figure.package === name)
  const operations = [...new Set(own.map(({ operation }) => operation))]
  const claims = own.map(
    (figure) =>
      `| ${figure.figure} | ${figure.must} | ${figure.value} ${figure.unit} | ${spreadText(figure)} | ${
        figure.by
      }, ${figure.rounds} | ${figure.verdict === 'met' ? 'met' : `**${figure.verdict}**`} |`,
  )
  const costs = operations.flatMap((operation) => {
    const peers = own.find((figure) => figure.operation === operation)?.peers ?? []
    return [
      `\nOne operation: ${operation}.\n`,
      '| contender | CPU µs | time µs | memory MiB |',
      '| --- | --- | --- | --- |',
      ...peers.map(
        ({ name: peer, cpu, time, memory }) => `| ${peer} | ${cpu} | ${time} | ${Math.round(memory)} |`,
      ),
    ]
  })
  return `## ${name}

| figure | must | value | interval | by, rounds | verdict |
| --- | --- | --- | --- | --- | --- |
${claims.join('\n')}
${costs.join('\n')}
`
}
