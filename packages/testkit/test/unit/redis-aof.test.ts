import { describe, expect, it } from 'vitest'
import { entryStarts } from '../../src/redis-aof.ts'

const command = (...words: readonly string[]) =>
  `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`

function entries(...parts: readonly string[]): readonly string[] {
  const bytes = Buffer.from(parts.join(''))
  const starts = entryStarts(bytes)
  return starts.map((start, index) => bytes.toString('utf8', start, starts[index + 1]))
}

describe('entries of an append-only file', () => {
  const select = command('SELECT', '0')
  const one = command('SET', 'clé', 'a\r\n*1\r\n$3\r\nDEL')
  const two = command('DEL', 'key')

  it('are its commands, with the database they are for', () => {
    expect(entries(select, one, two)).toEqual([select + one, two])
  })

  it('are whole transactions', () => {
    const transaction = [command('MULTI'), select, one, two, command('EXEC')].join('')
    expect(entries(one, transaction, two)).toEqual([one, transaction, two])
  })

  it('include the time stamps before them', () => {
    expect(entries('#TS:1700000000\r\n', one, '#TS:1700000001\r\n', two)).toEqual([
      `#TS:1700000000\r\n${one}`,
      `#TS:1700000001\r\n${two}`,
    ])
  })

  it('do not include a command that was cut in the middle', () => {
    const whole = Buffer.byteLength(one + two)
    for (let length = Buffer.byteLength(one); length < whole; length++) {
      expect(entryStarts(Buffer.from(one + two).subarray(0, length))).toEqual([0])
    }
  })
})
