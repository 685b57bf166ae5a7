import { describe, expect, it } from 'vitest'
import type { Contest } from '../../bench/contest.ts'
import { defineCase } from '../../bench/define-case.ts'
import { benchmarksPage } from '../../bench/docs-page.ts'
import { type Figure, figuresOf } from '../../bench/figures.ts'
import { read, readJson } from '../workspace.ts'

const operation = { run() {} }
const benchmark = defineCase({
  operation: 'a read',
  rounds: 5,
  contenders: [
    { name: 'ours', prepare: () => operation },
    { name: 'theirs', prepare: () => operation },
  ],
  claims: [
    { figure: 'a hit', must: { advantage: 8 }, against: 'theirs' },
    { figure: 'a hit by the clock', must: { cost: 10 }, by: 'time' },
    { figure: 'a miss', must: { ratio: 0.05 }, against: 'theirs' },
  ],
})

function measured(name: string, cpu: number, time: number) {
  return { name, rounds: Array.from({ length: 5 }, () => ({ cpu, time, memory: 50 })) }
}
const contest: Contest = {
  contenders: [measured('ours', 1, 3), measured('theirs', 10, 20)],
  control: measured('control', 1, 3),
}
const circumstances = {
  package: '@cays/cache',
  versions: { theirs: '1.2.3' },
  measured: { at: '2026-01-02T03:04:05.000Z', processor: 'CPU', cores: 2, platform: 'OS', load: 9 },
}

describe('the results of a contest', () => {
  const figures = figuresOf(benchmark, contest, circumstances)

  it('judge each claim by what it names: CPU or the clock', () => {
    expect(figures[0]).toMatchObject({ value: 10, unit: '×', verdict: 'met', ok: true, by: 'cpu' })
    expect(figures[0]?.peers.map(({ name, ratio }) => [name, ratio])).toEqual([
      ['ours', 1],
      ['theirs', 0.1],
    ])
    expect(figures[1]).toMatchObject({ value: 3, unit: 'µs', must: '≤ 10 µs', verdict: 'met', ok: true })
    expect(figures[2]).toMatchObject({ value: 0.1, verdict: 'missed', ok: false })
  })

  it('are written down with misses, circumstances and versions', () => {
    const page = benchmarksPage(figures)
    expect(page).toContain('2 met, 1 missed, 0 inconclusive')
    expect(page).toContain('**missed**')
    expect(page).toContain('2026-01-02')
    expect(page).toContain('shared and busy')
    expect(page).toContain('theirs 1.2.3')
  })
})

it('the page on benchmarks is what the recorded results say', () => {
  expect(read('docs/benchmarks.md')).toBe(benchmarksPage(readJson<readonly Figure[]>('bench/results.json')))
})
