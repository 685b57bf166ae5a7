import { type Item, isInnerList, parseList } from 'structured-headers'
import { describe, expect, it } from 'vitest'
import { limitFields } from '../../src/http-fields.ts'
import { createRateLimiter, fixedWindow, gcra, quota, tokenBucket } from '../../src/index.ts'
import { type PublishedLimit, readLimits } from '../../src/limit-field.ts'
import { PartitionKeys } from '../../src/partition-keys.ts'
import { seeded } from '../model/scenario.ts'

// One seed unless asked for another: what differs may as well be the other parser's mistake.
const seed = Number(process.env.SEED ?? 9_651)
const random = seeded(seed)
const integer = (below: number) => Math.floor(random() * below)
const pick = <T>(list: readonly T[]): T => list[integer(list.length)] as T

/** What another implementation of RFC 9651 reads in a `RateLimit` field. */
function limitsByPeer(field: string): readonly PublishedLimit[] {
  let members: ReturnType<typeof parseList>
  try {
    members = parseList(field)
  } catch {
    return []
  }
  return members.flatMap((member) => {
    if (isInnerList(member)) return []
    const [name, parameters] = member as Item
    const whole = (key: string) => {
      const value = parameters.get(key)
      return typeof value === 'number' && Number.isInteger(value) && value >= 0 ? Math.abs(value) : undefined
    }
    const remaining = whole('r')
    return typeof name === 'string' && remaining !== undefined
      ? [{ remaining, seconds: whole('t') ?? 0 }]
      : []
  })
}

// No dates: the other parser reads none before a comma or a semicolon.
const items = [
  ...['5', '-3', '0', '007', '999999999999999', '1.5', '-0.125', '"a"', '"a\\"b\\\\c, ;r=9"', '""', 'token'],
  ...[
    '*/x:y',
    ':aGk=:',
    ':aGk:',
    '::',
    '?0',
    '?1',

    '%"f%c3%bc"',
    '("a" 1;x);y',
    '()',
    '( "a" )',
  ],
]
const keys = ['r', 't', 'r', 't', 'pk', 'a-b', '*x', 'r_1']

function fieldOf(): string {
  const members = Array.from({ length: 1 + integer(3) }, () => {
    const parameters = Array.from({ length: integer(4) }, () => {
      const value = random() < 0.6 ? `=${integer(100)}` : random() < 0.7 ? `=${pick(items.slice(0, 20))}` : ''
      return `;${random() < 0.2 ? ' ' : ''}${pick(keys)}${value}`
    })
    return `${random() < 0.6 ? '"api"' : pick(items)}${parameters.join('')}`
  })
  return members.join(pick([',', ', ', ' ,\t']))
}

const broken = [
  '"',
  ',',
  ';',
  '=',
  ' ',
  '\t',
  '(',
  ')',
  ':',
  '%',
  '?',
  '.',
  '-',
  'R',
  'é',
  '\\',
  '0',
  ';r',
  '',
]

/** One character or so more, less or other. */
function breakSomewhere(field: string): string {
  const at = integer(field.length + 1)
  return field.slice(0, at) + pick(broken) + field.slice(at + integer(3))
}

describe('the client', () => {
  it(`reads RateLimit fields as another parser of RFC 9651 does, broken ones too (seed ${seed})`, () => {
    let told = 0
    let refused = 0
    for (let round = 0; round < 3_000; round++) {
      const field = round % 2 === 0 ? fieldOf() : breakSomewhere(fieldOf())
      const limits = readLimits(field)
      expect({ field, limits }).toEqual({ field, limits: limitsByPeer(field) })
      if (limits.length > 0) told++
      else refused++
    }
    expect(readLimits('"a";x=@1659578233;r=3, @-5, "b";r=1;t=9')).toEqual([
      { remaining: 3, seconds: 0 },
      { remaining: 1, seconds: 9 },
    ])
    expect(told).toBeGreaterThan(400)
    expect(refused).toBeGreaterThan(400)
  })

  it('takes no longer for a field made to be hard', () => {
    for (const part of ['("', '(a ', '";r=1', ':a', '1.', ';a=1', 'a;b', '%"%']) {
      expect(readLimits(part.repeat(Math.floor(4_096 / part.length)))).toEqual([])
    }
    expect(readLimits(`${'"a";r=1,'.repeat(600)}"a";r=1`)).toEqual([])
  })
})

describe('the response fields', () => {
  it('are lists of RFC 9651 with the names and types of the draft', async () => {
    await using limiter = createRateLimiter({
      policies: {
        burst: gcra({ limit: 20, per: '1s', burst: 40 }),
        'a-b_C9': fixedWindow({ limit: 1_000_000_000, per: 1_500 }),
        tokens: tokenBucket({ capacity: 0.5, per: '1m', unit: 'content-bytes' }),
        yearly: quota({ limit: 1, period: 'year' }),
        quiet: gcra({ limit: 1, per: '1s', mode: 'shadow' }),
      },
    })
    for (const cost of [0.25, 0.25, 0.25, { yearly: 2 }, { burst: 40, tokens: 0, yearly: 0 }]) {
      const decision = await limiter.check('user "1", \u0000é', { cost })
      const fields = limitFields(decision, 'ietf', 'user "1", \u0000é', new PartitionKeys())
      const policies = parseList(fields['RateLimit-Policy'] ?? '') as Item[]
      expect(policies.map(([name]) => name)).toEqual(['burst', 'a-b_C9', 'tokens', 'yearly'])
      for (const [, parameters] of policies) {
        expect(parameters.get('q')).toSatisfy((q) => Number.isInteger(q) && (q as number) >= 0)
        expect(['undefined', 'number']).toContain(typeof parameters.get('w'))
        expect(['undefined', 'string']).toContain(typeof parameters.get('qu'))
      }
      const limits = parseList(fields.RateLimit ?? '') as Item[]
      expect(limits.map(([name]) => name)).toEqual(
        decision.allowed ? ['burst', 'a-b_C9', 'tokens', 'yearly'] : [...decision.limitedBy],
      )
      for (const [name, parameters] of limits) {
        expect(parameters.get('r')).toBe(decision.policies[name as 'burst']?.remaining)
        expect(parameters.get('pk')).toBeInstanceOf(ArrayBuffer)
        const seconds = parameters.get('t') as number | undefined
        if (seconds === undefined) expect(decision.reason).toBe('never')
        else if (!decision.allowed) expect(Number(fields['Retry-After'])).toBeGreaterThanOrEqual(seconds)
      }
      expect(readLimits(fields.RateLimit ?? null)).toHaveLength(limits.length)
    }
  })

  it('are whole numbers however long the time', async () => {
    await using limiter = createRateLimiter({
      policies: { slow: tokenBucket({ capacity: 1_000_000_000, refill: 0.001, per: '3660d' }) },
    })
    await limiter.check('user', { cost: 1_000_000_000 })
    const fields = limitFields(
      await limiter.check('user', { cost: 1_000_000_000 }),
      'both',
      'user',
      new PartitionKeys(),
    )
    expect(readLimits(fields.RateLimit ?? null)).toEqual([{ remaining: 0, seconds: 999_999_999_999_999 }])
    expect([fields['Retry-After'], fields['X-RateLimit-Reset']]).toEqual(['9'.repeat(15), '9'.repeat(15)])
  })
})

describe('partition keys', () => {
  it('are the same for a subject whenever it comes, and different for each', () => {
    const keys = new PartitionKeys()
    const subjects = [...Array.from({ length: 1_500 }, (_, index) => `user:${index}`), 'u'.repeat(1_000_000)]
    const first = subjects.map((subject) => keys.of(subject))
    expect(new Set(first).size).toBe(subjects.length)
    expect(first.every((key) => /^;pk=:[A-Za-z0-9+/]{12}:$/.test(key))).toBe(true)
    expect(subjects.map((subject) => keys.of(subject))).toEqual(first)
  })
})
