import { loadModule } from 'libpg-query'
import { beforeAll, describe, expect, test, vi } from 'vitest'
import { classify } from '../../src/classify.ts'
import { lines, OTHERS, READS } from './corpus.ts'
import { OTHER_FAMILIES, READ_FAMILIES } from './families.ts'
import { judge } from './oracle.ts'

const seed = Number(process.env.CAYS_SEED ?? Math.floor(Math.random() * 2 ** 31))
let state = seed || 1

function random(below: number): number {
  state = (state * 48_271) % 2_147_483_647
  return state % below
}

function pick<T>(list: readonly T[]): T {
  return list[random(list.length)] as T
}

// Thousands of texts go through the parser of Postgres; a busy machine takes its time.
vi.setConfig({ testTimeout: 60_000 })

/** True when the router would send it to a replica with no more knowledge than the text. */
function readsByText(sql: string): boolean {
  const statement = classify(sql)
  return statement.kind === 'read' && statement.unknown.length === 0
}

/** One of each kind: what the fuzzers start from. */
const kinds = [...lines(READS), ...lines(OTHERS)]
const reads = [...lines(READS), ...READ_FAMILIES]
const others = [...lines(OTHERS), ...OTHER_FAMILIES]

beforeAll(async () => {
  await loadModule()
  console.log(`seed ${seed}`)
})

/** The same statement with other spelling: comments, white space and case wherever the grammar allows them. */
function respell(sql: string): string {
  const pieces = sql.split(
    /('(?:[^']|'')*'|"[^"]*"|\$\$.*?\$\$|\$tag\$.*?\$tag\$|E'.*?[^\\]'|--.*|\/\*.*\*\/)/,
  )
  return pieces
    .map((piece, index) => {
      if (index % 2 === 1) return piece
      return piece
        .replace(/[a-z]+/gi, (word) => (random(3) === 0 ? word.toUpperCase() : word))
        .replace(/ +/g, () => pick([' ', '  ', '\n', '\t', ' /* ; */ ', " -- ' \n", ' /* /* " */ */ ']))
        .replace(/\(/g, () => pick(['(', ' (', '( ', '/**/(']))
    })
    .join('')
}

/** A query around a query, in the places where one may stand. */
const AROUND: readonly ((inner: string) => string)[] = [
  (inner) => `select * from (${inner}) q`,
  (inner) => `with c as (${inner}) select * from c`,
  (inner) => `with c as not materialized (${inner}), d(x) as (select 1) select * from c, d`,
  (inner) => `select 1 union all (${inner})`,
  (inner) => `(${inner}) order by 1 limit 3`,
  (inner) => `select exists (${inner}), array(${inner})`,
  (inner) => `select * from jobs where id in (${inner})`,
  (inner) => `select * from jobs j, lateral (${inner}) l(a)`,
  (inner) => `explain analyze ${inner}`,
  (inner) => `explain (verbose, costs off) ${inner}`,
  (inner) => `select case when exists (${inner}) then 1 else 2 end`,
]

describe('classify, with the parser of Postgres as the oracle', () => {
  test('the corpus of more than 3,000 statements parses and is what it claims to be', () => {
    expect(new Set(others).size).toBeGreaterThan(2_000)
    expect(new Set(reads).size).toBeGreaterThan(1_000)
    expect(reads.filter((sql) => judge(sql) !== 'read')).toEqual([])
    expect(others.filter((sql) => judge(sql) !== 'other')).toEqual([])
  })

  test('no statement of any kind that is not a read is taken for one', () => {
    expect(others.filter(readsByText)).toEqual([])
  })

  test('every plain read is recognised', () => {
    expect(reads.filter((sql) => !readsByText(sql))).toEqual([])
  })

  test('spelling makes no difference: 6,000 variants, no write taken for a read', () => {
    const wrong: string[] = []
    let needless = 0
    let parsedReads = 0
    let judged = 0
    for (let round = 0; round < 6_000; round++) {
      const body = pick(kinds).replace(/[;\s]*$/, '')
      const sql = respell(random(2) === 0 ? pick(AROUND)(body) : body)
      const verdict = judge(sql)
      if (verdict === undefined) continue
      judged++
      const read = readsByText(sql)
      if (verdict === 'other' && read) wrong.push(sql)
      if (verdict === 'read') {
        parsedReads++
        if (!read) needless++
      }
    }
    expect(wrong).toEqual([])
    expect(judged).toBeGreaterThan(2_000)
    expect(needless / parsedReads).toBeLessThanOrEqual(0.02)
  })

  test('of 20,000 texts spliced from words of the corpus, no write is taken for a read', () => {
    const words = kinds.map((sql) => sql.split(/(\s+|[(),;])/).filter((word) => word.trim() !== ''))
    const wrong: string[] = []
    let parsed = 0
    for (let round = 0; round < 20_000; round++) {
      const text = [...pick(words)]
      for (let change = 1 + random(3); change > 0; change--) {
        const other = pick(words)
        const from = random(other.length)
        text.splice(random(text.length + 1), random(2), ...other.slice(from, from + 1 + random(6)))
      }
      const sql = text.join(' ')
      if (!readsByText(sql)) continue
      const verdict = judge(sql)
      if (verdict === undefined) continue
      parsed++
      if (verdict === 'other') wrong.push(sql)
    }
    expect(wrong).toEqual([])
    expect(parsed).toBeGreaterThan(100)
  })
})

describe('classify', () => {
  test('never takes what it cannot read with certainty for a read', () => {
    const uncertain = [
      "select 'a\\'; delete from jobs; --'",
      'select U&"\\0070g_advisory_lock"(1)',
      "select U&'a' from t",
      "select 'open",
      'select "open',
      'select $$open',
      'select /* open',
      'select 1into t',
      'select $1for',
      '',
      '-- nothing',
      ';',
      'selec 1',
    ]
    expect(uncertain.filter(readsByText)).toEqual([])
  })

  test('tells what begins a transaction that a replica can hold', () => {
    expect(classify('begin read only').readOnly).toBe(true)
    expect(classify('START TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY').readOnly).toBe(true)
    expect(classify('begin').readOnly).toBe(false)
    expect(classify('begin read write').readOnly).toBe(false)
    expect(classify('begin isolation level serializable read only').readOnly).toBe(false)
  })

  test('tells the ends of transactions from steps inside them and from two-phase commit', () => {
    expect(classify('commit').kind).toBe('commit')
    expect(classify('end').kind).toBe('commit')
    expect(classify("prepare transaction 'a'").kind).toBe('commit')
    expect(classify("commit prepared 'a'").kind).toBe('other')
    expect(classify('rollback').kind).toBe('rollback')
    expect(classify('rollback to a').kind).toBe('savepoint')
    expect(classify('rollback work to savepoint a').kind).toBe('savepoint')
  })

  test('takes a name after the parenthesis of OPERATOR or DISTINCT ON for a call', () => {
    expect(classify('select a operator (pg_catalog.+) "My Function"(1) from t').unknown).toEqual([
      'My Function',
    ])
    expect(classify('select distinct on (a) mine(b) from t').unknown).toEqual(['mine'])
    expect(classify('select a from mine(1) t(a)').unknown).toEqual(['mine'])
  })

  test('names the functions that are not known, once the text is otherwise a read', () => {
    expect(classify('select my_sum(a), lower(b) from t')).toMatchObject({
      kind: 'read',
      calls: ['my_sum', 'lower'],
      unknown: ['my_sum'],
    })
  })

  test('takes time in proportion to the length of the text', () => {
    const hostile = [
      (n: number) => `select ${'('.repeat(n)}1${')'.repeat(n)}`,
      (n: number) => `with a as (select 1) select 1${', f(1'.repeat(n)}${')'.repeat(n)}`,
      (n: number) => `select '${"''".repeat(n)}'`,
      (n: number) => `select ${'/*'.repeat(n)}${'*/'.repeat(n)} 1`,
      (n: number) => `select ${'$a'.repeat(n)}$ 1`,
      (n: number) => `select ${'1e'.repeat(n)}`,
    ]
    for (const make of hostile) {
      // Milliseconds of CPU, the best of some: others on the machine do not count.
      const time = (n: number) => {
        const sql = make(n)
        const rounds = Array.from({ length: 4 }, () => {
          const before = process.cpuUsage()
          classify(sql)
          return process.cpuUsage(before).user / 1_000
        })
        return Math.min(...rounds)
      }
      time(2_000)
      // A quadratic one would take 400 times as long.
      expect(time(40_000)).toBeLessThan(100 * Math.max(time(2_000), 2))
    }
  })
})
