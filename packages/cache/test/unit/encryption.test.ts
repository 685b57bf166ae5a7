import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { Envelopes, UNREADABLE } from '../../src/envelope.ts'
import { createCache, type EncryptionKey } from '../../src/index.ts'
import { readOptions } from '../../src/options.ts'

const HEADER = `1${'9'.repeat(13)}0123456789`
const about = { seq: 7, tags: ['t'], grace: undefined, took: undefined }

function key(id: string): EncryptionKey {
  return { id, secret: randomBytes(32) }
}

function envelopesOf(encryption: readonly EncryptionKey[] | undefined, name = 'test', prefix = 'p') {
  const { l2 } = readOptions({ name, l2: { prefix, encryption, compressOver: 1_000 } })
  const unreadable: string[] = []
  const envelopes = new Envelopes(l2, (which) => unreadable.push(which))
  return {
    unreadable,
    seal: async (of: string, value: unknown, with_ = about) =>
      HEADER + envelopes.seal(of, 'epoch', with_, (await envelopes.pack(value)) ?? ''),
    open: async (of: string, raw: string) => (await envelopes.open(of, raw))?.value,
    envelopes,
  }
}

describe('encrypted values', () => {
  it('come back with their types, short, long and compressed, and show nothing of themselves', async () => {
    const one = envelopesOf([key('a')])
    for (const value of [
      'secret',
      { at: new Date(0), text: 'secret ünïcode '.repeat(1_000) },
      undefined,
      '',
    ]) {
      const raw = await one.seal('k', value)
      expect(raw).not.toContain('secret')
      expect(Buffer.from(raw.slice(raw.indexOf('.') + 1), 'base64').toString('latin1')).not.toContain(
        'secret',
      )
      expect(await one.open('k', raw)).toStrictEqual(value)
    }
    const long = await one.seal('k', 'secret '.repeat(10_000))
    expect(long.length).toBeLessThan(500)
    expect(one.unreadable).toEqual([])
  })

  it('never look the same twice', async () => {
    const one = envelopesOf([key('a')])
    const raws = await Promise.all(Array.from({ length: 100 }, () => one.seal('k', 'value')))
    expect(new Set(raws).size).toBe(100)
  })

  it('are opened by any of the keys, and sealed with the first', async () => {
    const [old, next] = [key('2025'), key('2026')]
    const before = envelopesOf([old])
    const during = envelopesOf([old, next])
    const turned = envelopesOf([next, old])
    const after = envelopesOf([next])
    const first = await before.seal('k', 1)
    expect(await Promise.all([before, during, turned].map((one) => one.open('k', first)))).toEqual([1, 1, 1])
    expect(await after.open('k', first)).toBe(UNREADABLE)
    const second = await turned.seal('k', 2)
    expect(await Promise.all([during, turned, after].map((one) => one.open('k', second)))).toEqual([2, 2, 2])
    expect(await before.open('k', second)).toBe(UNREADABLE)
    expect([after.unreadable, before.unreadable]).toEqual([['k'], ['k']])
  })

  it('do not open when any character of them was changed', async () => {
    const one = envelopesOf([key('a')])
    const raw = await one.seal('k', 'value')
    for (let at = HEADER.length; at < raw.length; at++) {
      const other = raw[at] === 'A' ? 'B' : 'A'
      const opened = await one.open('k', raw.slice(0, at) + other + raw.slice(at + 1))
      // The last character of base64 has bits that mean nothing.
      if (opened !== 'value') expect([UNREADABLE, undefined]).toContain(opened)
      else expect(at).toBeGreaterThan(raw.length - 5)
      expect([UNREADABLE, undefined]).toContain(await one.open('k', raw.slice(0, at)))
    }
  })

  it('do not open under another key of the cache, with other tags, in another cache or under another prefix', async () => {
    const shared = key('a')
    const one = envelopesOf([shared])
    const raw = await one.seal('k', 'value')
    expect(await one.open('other', raw)).toBeUndefined()
    expect(await one.open('other', raw.replace('["k",', '["other",'))).toBe(UNREADABLE)
    expect(await one.open('k', raw.replace('["k",["t"]]', '["k"]'))).toBe(UNREADABLE)
    expect(await one.open('k', raw.replace('|7|', '|8|'))).toBe(UNREADABLE)
    expect(await envelopesOf([shared], 'elsewhere').open('k', raw)).toBe(UNREADABLE)
    expect(await envelopesOf([shared], 'test', 'q').open('k', raw)).toBe(UNREADABLE)
    expect(await envelopesOf([{ ...shared, id: 'b' }]).open('k', raw.replace('\nea.', '\neb.'))).toBe(
      UNREADABLE,
    )
  })

  it('are the only ones that count where there is a key, and none where there is none', async () => {
    const one = envelopesOf([key('a')])
    const plain = envelopesOf(undefined)
    for (const value of ['forged', 'long '.repeat(1_000)]) {
      expect(await one.open('k', await plain.seal('k', value))).toBe(UNREADABLE)
      expect(await plain.open('k', await one.seal('k', value))).toBe(UNREADABLE)
    }
  })

  it('take the messages of failed loads with them', () => {
    const { envelopes } = envelopesOf([key('a')])
    const sealed = envelopes.sealFailure('k', 'user ada is unknown')
    expect(sealed).not.toContain('ada')
    expect(envelopes.openFailure('k', sealed)).toBe('user ada is unknown')
    expect(envelopes.openFailure('other', sealed)).toBe('')
  })
})

describe('l2.encryption', () => {
  const { secret } = key('a')
  for (const [what, encryption] of [
    ['an empty list', []],
    ['no list', { id: 'a', secret }],
    ['a short secret', [{ id: 'a', secret: secret.subarray(1) }]],
    ['a secret in text', [{ id: 'a', secret: 'x'.repeat(32) }]],
    ['an id with a dot', [{ id: 'a.b', secret }]],
    ['no id', [{ secret }]],
    ['two keys of one id', [{ id: 'a', secret }, key('a')]],
    ['another name', [{ id: 'a', secret, algorithm: 'none' }]],
  ] as const) {
    it(`refuses ${what}, and shows none of it`, () => {
      let thrown: unknown
      try {
        createCache({ name: 'test', l2: { encryption: encryption as never } })
      } catch (error) {
        thrown = error
      }
      expect(thrown).toMatchObject({ code: 'CACHE_ERR_OPTION' })
      expect(String(thrown)).not.toContain(Buffer.from(secret).toString('latin1').slice(0, 8))
    })
  }
})
