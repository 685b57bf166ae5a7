import { describe, expect, test } from 'vitest'
import { decodeBookmark, encodeBookmark } from '../../src/bookmark.ts'
import { createRouter, type RouterOptions, UsageError } from '../../src/index.ts'
import { formatLsn, parseLsn } from '../../src/lsn.ts'
import { PrimaryLog } from '../../src/primary-log.ts'
import { resolveOptions } from '../../src/settings.ts'

const primary = 'postgres://app@primary/app'
const system = '7575858585858585858'
const at = (timeline: number, lsn: number) => ({ system, timeline, lsn })

describe('options', () => {
  const wrong: [string, unknown][] = [
    ['primary is required', {}],
    ['did you mean "replicas"?', { primary, replica: [] }],
    ['must be a URL such as', { primary: 'primary:5432' }],
    ['replicas[0] must be a URL such as', { primary, replicas: ['postgres://one:x,two/app'] }],
    ['prepare does not work behind a pooler', { primary, pooler: 'transaction', prepare: true }],
    ["pooler must be one of 'transaction'", { primary, pooler: 'session' }],
    ['discovery.find is required', { discovery: {} }],
    ['must be different servers', { primary, replicas: [primary] }],
    ['must not name a server', { primary, pool: { host: 'x' } }],
    ['consistency must be one of', { primary, consistency: 'eventually' }],
    ['maxStaleness must be a duration', { primary, maxStaleness: 'soon' }],
    ['bookmark.secret must have at least 16', { primary, bookmark: { secret: 'short' } }],
    ['bookmark.ttl must not be shorter', { primary, bookmark: { secret: 'x'.repeat(16), ttl: '1s' } }],
    ['"wait.instead"', { primary, wait: { instead: 'error' } }],
    ['fallback.share must be a number', { primary, fallback: { share: 2 } }],
  ]

  test.each(wrong)('refuses with a message that helps: %s', (message, options) => {
    const create = () => createRouter(options as RouterOptions)
    expect(create).toThrow(UsageError)
    expect(create).toThrow(message)
  })

  test('never shows what was given, which may hold a password', () => {
    expect(() => resolveOptions({ primary: 'app:hunter2@primary' })).toThrow(/^(?!.*hunter2)/)
  })

  test('fills in defaults, in milliseconds', () => {
    expect(resolveOptions({ primary })).toMatchObject({
      consistency: 'session',
      maxStaleness: 30_000,
      wait: { budget: 50, otherwise: 'primary' },
      health: { interval: 1_000, timeout: 400, rise: 2, fall: 2, slowStart: 10_000, passive: false },
      buffer: { window: 10_000, size: 1_000 },
      fallback: { share: 0.5, queue: 1_000, wait: 1_000 },
    })
  })
})

describe('servers', () => {
  const urls = (url: string) => resolveOptions({ primary: url }).servers.map((server) => server.url)

  test('are one for each host of a URL as libpq takes it', () => {
    expect(urls('postgresql://app:s%40fe@one,two:5433,[::1]:5434/app?sslmode=require')).toEqual([
      'postgresql://app:s%40fe@one/app?sslmode=require',
      'postgresql://app:s%40fe@two:5433/app?sslmode=require',
      'postgresql://app:s%40fe@[::1]:5434/app?sslmode=require',
    ])
    expect(urls('postgres://one,two/app?target_session_attrs=read-write&application_name=a')).toEqual([
      'postgres://one/app?application_name=a',
      'postgres://two/app?application_name=a',
    ])
  })

  test('keep the weight and zone of their entry', () => {
    const { servers } = resolveOptions({
      primary,
      replicas: [{ url: 'postgres://a,b/app', weight: 2, zone: 'x' }],
    })
    expect(servers.slice(1)).toMatchObject([
      { weight: 2, zone: 'x' },
      { weight: 2, zone: 'x' },
    ])
  })
})

describe('bookmarks', () => {
  const secret = 'sixteen characters'

  test('come back as they went, with a position or without', () => {
    for (const position of [undefined, { system, timeline: 3, lsn: 0x1_2345_6789 }]) {
      const bookmark = { issued: 1_000_000, position }
      expect(decodeBookmark(encodeBookmark(bookmark, secret), secret, 30_000, 1_010_000)).toEqual(bookmark)
    }
  })

  test('are refused when old, of another secret, or changed in any character', () => {
    const text = encodeBookmark({ issued: 1_000_000, position: { system, timeline: 1, lsn: 5 } }, secret)
    expect(decodeBookmark(text, secret, 30_000, 1_040_000)).toBeUndefined()
    expect(decodeBookmark(text, `${secret}!`, 30_000, 1_000_001)).toBeUndefined()
    for (let where = 0; where < text.length; where++) {
      const changed = `${text.slice(0, where)}${text[where] === 'x' ? 'y' : 'x'}${text.slice(where + 1)}`
      expect(decodeBookmark(changed, secret, 30_000, 1_000_001)).toBeUndefined()
    }
    for (const nonsense of ['', '.', 'v1', 'v1....', 'x'.repeat(10_000)]) {
      expect(decodeBookmark(nonsense, secret, 30_000, 1_000_001)).toBeUndefined()
    }
  })
})

describe('positions', () => {
  test('are read and written as Postgres does', () => {
    for (const text of ['0/0', '0/3124EC8', '16/B374D848', '1FFFFF/FFFFFFFF']) {
      expect(formatLsn(parseLsn(text) as number)).toBe(text)
    }
    for (const text of ['', '0', '0/', '/0', '0/123456789', 'x/0', '0/0; drop', 'FFFFFFFF/FFFFFFFF']) {
      expect(parseLsn(text)).toBeUndefined()
    }
  })
})

describe('the log of the primary', () => {
  const sample = (lsn: number, sentAt: number, timeline = 1) => ({
    role: 'primary' as const,
    position: { system, timeline, lsn },
    sentAt,
  })

  test('one question serves everybody who waits, and only those who came before it was sent', async () => {
    let asked = 0
    const answers: ((lsn: number) => void)[] = []
    const log = new PrimaryLog(() => {
      asked++
      return new Promise((resolve) => answers.push((lsn) => resolve(sample(lsn, asked))))
    })
    const first = log.tick()
    const one = log.positionSince(first)
    const alsoOne = log.positionSince(first)
    const second = log.tick()
    const two = log.positionSince(second)
    const alsoTwo = log.positionSince(second)
    expect(asked).toBe(1)
    answers[0]?.(100)
    expect(await one).toEqual(at(1, 100))
    expect(await alsoOne).toEqual(at(1, 100))
    await expect.poll(() => asked).toBe(2)
    answers[1]?.(200)
    expect(await two).toEqual(at(1, 200))
    expect(await alsoTwo).toEqual(at(1, 200))
    expect(log.positionSince(second)).toEqual(at(1, 200))
    expect(asked).toBe(2)
  })

  test('a replica is as fresh as the newest mark it has replayed, on the same timeline', () => {
    const log = new PrimaryLog(() => Promise.reject(new Error('not asked')))
    log.saw(sample(100, 10), 0)
    log.saw(sample(200, 20), 0)
    expect(log.freshAsOf(at(1, 99))).toBe(Number.NEGATIVE_INFINITY)
    expect(log.freshAsOf(at(1, 150))).toBe(10)
    expect(log.freshAsOf(at(1, 200))).toBe(20)
    expect(log.freshAsOf(at(2, 200))).toBe(Number.NEGATIVE_INFINITY)
    log.saw(sample(150, 30, 2), 0)
    expect(log.freshAsOf(at(1, 300))).toBe(Number.NEGATIVE_INFINITY)
    expect(log.freshAsOf(at(2, 150))).toBe(30)
  })

  test('remembers a bounded number of marks', () => {
    const log = new PrimaryLog(() => Promise.reject(new Error('not asked')))
    for (let mark = 1; mark <= 1_000; mark++) log.saw(sample(mark, mark), 0)
    expect(log.freshAsOf(at(1, 500))).toBe(Number.NEGATIVE_INFINITY)
    expect(log.freshAsOf(at(1, 999))).toBe(999)
  })
})
