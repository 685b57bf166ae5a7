import { deflateSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { agrees } from '../../src/sniff.ts'

const png = Buffer.concat([
  Buffer.from('89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489', 'hex'),
  Buffer.from('0000000d49444154', 'hex'),
  deflateSync(Buffer.alloc(5)),
])
const jpeg = Buffer.from('ffd8ffe000104a46494600010100000100010000', 'hex')
const pdf = Buffer.from('%PDF-1.7\n%âãÏÓ\n1 0 obj\n')
const zip = Buffer.from('504b0304140000000800', 'hex')

describe('the first bytes', () => {
  it.each([
    ['image/png', png],
    ['image/jpeg', jpeg],
    ['application/pdf', pdf],
    ['text/plain', Buffer.from('Grüße\n')],
    ['text/csv', Buffer.from('a;b\n1;2\n')],
    ['application/json', Buffer.from('{"a":1}')],
  ])('agree with %s when they are that', async (type, bytes) => {
    expect(await agrees(bytes, type)).toBe(true)
  })

  it.each([
    ['HTML as PDF', 'application/pdf', Buffer.from('<html><script>alert(1)</script>')],
    ['HTML before the PDF it also is', 'application/pdf', Buffer.concat([Buffer.from('<html>'), pdf])],
    ['a PDF as image', 'image/png', pdf],
    ['a JPEG as PNG', 'image/png', jpeg],
    ['a zip as PDF', 'application/pdf', zip],
    ['an executable as image', 'image/png', Buffer.from('MZ\x90\0\x03\0\0\0', 'latin1')],
    ['SVG as image', 'image/png', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" onload="x()"/>')],
    ['HTML as text', 'text/plain', Buffer.from(' \n<!DOCTYPE html><script>')],
    ['a script tag as text', 'text/plain', Buffer.from('<script>x</script>')],
    ['SVG as text', 'text/plain', Buffer.from('<SVG onload=x>')],
    ['HTML after a byte order mark as text', 'text/plain', Buffer.from('\ufeff<html>')],
    ['a PDF as text', 'text/plain', pdf],
    ['NUL in text', 'text/plain', Buffer.from('a\0b')],
    ['UTF-16 as text', 'text/plain', Buffer.from('\ufeffab', 'utf16le')],
    ['invalid UTF-8 as text', 'text/plain', Buffer.from([0x61, 0xff, 0xfe, 0x61])],
    ['nothing as PDF', 'application/pdf', Buffer.alloc(0)],
    ['a type that has no signature', 'application/x-unknown', Buffer.from('hello')],
  ])('do not agree: %s', async (_, type, bytes) => {
    expect(await agrees(bytes, type)).toBe(false)
  })

  it('may end in the middle of a character', async () => {
    expect(await agrees(Buffer.from('Grüße').subarray(0, 3), 'text/plain')).toBe(true)
  })

  it('never make it throw, whatever they are', async () => {
    for (const start of [png, jpeg, pdf, zip, Buffer.from('RIFF'), Buffer.from('%PDF'), Buffer.from('PK')]) {
      for (let length = 0; length <= start.length; length++) {
        expect(typeof (await agrees(start.subarray(0, length), 'image/webp'))).toBe('boolean')
      }
    }
  })
})
