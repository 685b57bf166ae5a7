import { describe, expect, test } from 'vitest'
import { judge } from '../../src/r2-conditions.ts'
import { parseRange } from '../../src/r2-range.ts'
import { parseTarget } from '../../src/r2-uri.ts'

describe('ranges', () => {
  test.each([
    ['bytes=0-0', { start: 0, end: 0 }],
    ['bytes=2-5', { start: 2, end: 5 }],
    ['bytes=2-', { start: 2, end: 9 }],
    ['bytes=-3', { start: 7, end: 9 }],
    ['bytes=-30', { start: 0, end: 9 }],
    ['bytes=9-999999999999999', { start: 9, end: 9 }],
    ['bytes=5-2', undefined],
    ['bytes=0-1,3-4', undefined],
    ['bytes=-', undefined],
    ['bytes=a-b', undefined],
    ['items=0-1', undefined],
    ['bytes=99999999999999999999-', undefined],
    [undefined, undefined],
  ])('%s of ten bytes is %j', (header, range) => {
    expect(parseRange(header, 10)).toEqual(range)
  })

  test.each([
    ['bytes=10-', 10],
    ['bytes=-0', 10],
    ['bytes=0-', 0],
    ['bytes=-1', 0],
  ])('%s of %d bytes is not satisfiable', (header, size) => {
    expect(() => parseRange(header, size)).toThrow(/not satisfiable/)
  })
})

describe('conditions', () => {
  const state = { etag: 'abc', lastModified: Date.parse('2026-01-02T03:04:05.678Z') }
  const same = 'Fri, 02 Jan 2026 03:04:05 GMT'
  const earlier = 'Fri, 02 Jan 2026 03:04:04 GMT'
  const none = {
    ifMatch: undefined,
    ifNoneMatch: undefined,
    ifModifiedSince: undefined,
    ifUnmodifiedSince: undefined,
  }
  test.each([
    [{}, 'met', 'met'],
    [{ ifMatch: '"abc"' }, 'met', 'failed'],
    [{ ifMatch: 'abc' }, 'met', 'failed'],
    [{ ifMatch: '"x", "abc"' }, 'met', 'failed'],
    [{ ifMatch: '*' }, 'met', 'failed'],
    [{ ifMatch: '"ab"' }, 'failed', 'failed'],
    [{ ifNoneMatch: '"abc"' }, 'unchanged', 'met'],
    [{ ifNoneMatch: 'W/"abc"' }, 'unchanged', 'met'],
    [{ ifNoneMatch: '*' }, 'unchanged', 'met'],
    [{ ifNoneMatch: '"x"' }, 'met', 'met'],
    [{ ifModifiedSince: same }, 'unchanged', 'met'],
    [{ ifModifiedSince: earlier }, 'met', 'met'],
    [{ ifUnmodifiedSince: same }, 'met', 'met'],
    [{ ifUnmodifiedSince: earlier }, 'failed', 'met'],
    [{ ifModifiedSince: 'nonsense', ifUnmodifiedSince: 'nonsense' }, 'met', 'met'],
    [{ ifNoneMatch: '"x"', ifModifiedSince: same }, 'met', 'met'],
    [{ ifMatch: '"abc"', ifUnmodifiedSince: earlier }, 'met', 'failed'],
    [{ ifMatch: '"abc"', ifNoneMatch: '"abc"' }, 'unchanged', 'failed'],
  ])('%j are %s for an object and %s for none', (conditions, withObject, without) => {
    expect(judge({ ...none, ...conditions }, state)).toBe(withObject)
    expect(judge({ ...none, ...conditions }, undefined)).toBe(without)
  })
})

describe('request targets', () => {
  test.each([
    ['/', '', ''],
    ['/media', 'media', ''],
    ['/media/', 'media', ''],
    ['/media/a/b', 'media', 'a/b'],
    ['/media//a//', 'media', '/a//'],
    ['/media/../etc/passwd', 'media', '../etc/passwd'],
    ['/media/%2e%2e%2f', 'media', '../'],
    ['/media/a%20b%2Bc%25', 'media', 'a b+c%'],
    ['/media/%C3%BC', 'media', 'ü'],
  ])('%s is bucket %j and key %j', (target, bucket, key) => {
    expect(parseTarget(target, '127.0.0.1:1')).toMatchObject({ bucket, key })
  })

  test('a host below localhost names the bucket', () => {
    expect(parseTarget('/a/b', 'media.localhost:123')).toMatchObject({ bucket: 'media', key: 'a/b' })
  })

  test('parameters keep their bytes, with plus as space', () => {
    const { query } = parseTarget('/b?a=1%2B1+2&empty&x=a=b', 'h')
    expect(Object.fromEntries(query)).toEqual({ a: '1+1 2', empty: '', x: 'a=b' })
  })

  test.each([
    ['http://other/media/a'],
    ['*'],
    ['/media/\u00fc'],
    ['/media/a b'],
    ['/media/%'],
    ['/media/%zz'],
    ['/media/%ff'],
    ['/media/%ED%A0%80'],
    ['/media/%00'],
    [`/media/${'x'.repeat(1025)}`],
    [`/media/${'%C3%BC'.repeat(513)}`],
    [`/b?${Array.from({ length: 200 }, (_, i) => `p${i}`).join('&')}`],
    ['/b?a=1&a=2'],
  ])('%s is refused', (target) => {
    expect(() => parseTarget(target, 'h')).toThrow()
  })
})
