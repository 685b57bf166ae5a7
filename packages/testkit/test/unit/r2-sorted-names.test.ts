import { expect, test } from 'vitest'
import { SortedNames } from '../../src/r2-sorted-names.ts'

const byBytes = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b))

test('names keep the order of their bytes through random changes', () => {
  const letters = ['a', 'b', '/', 'é', '\uFFFD', '😀', '\uE000']
  let seed = 42
  const random = (below: number) => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31
    return seed % below
  }
  const names = new SortedNames()
  const model = new Set<string>()
  for (let step = 0; step < 2000; step += 1) {
    const name = Array.from({ length: random(5) }, () => letters[random(letters.length)]).join('')
    if (random(3) === 0) {
      names.delete(name)
      model.delete(name)
    } else if (!model.has(name)) {
      names.add(name)
      model.add(name)
    }
  }
  const expected = [...model].sort(byBytes)
  expect(expected.map((_, index) => names.at(index))).toEqual(expected)
  expect(names.at(expected.length)).toBeUndefined()
  for (const probe of ['', 'a', 'a/', '😀', 'zz', ...expected.slice(0, 20)]) {
    expect(names.firstAtOrAfter(probe)).toBe(expected.filter((name) => byBytes(name, probe) < 0).length)
    expect(names.firstAfter(probe)).toBe(expected.filter((name) => byBytes(name, probe) <= 0).length)
    const before = expected.filter((name) => byBytes(name, probe) < 0 || name.startsWith(probe))
    expect(names.firstBeyond(probe)).toBe(before.length)
  }
})
