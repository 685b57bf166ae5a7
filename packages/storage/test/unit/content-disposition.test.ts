import { describe, expect, it } from 'vitest'
import { attachment } from '../../src/content-disposition.ts'

describe('content-disposition', () => {
  it('keeps a plain name and gives others in both forms', () => {
    expect(attachment('cv.pdf')).toBe(`attachment; filename="cv.pdf"; filename*=UTF-8''cv.pdf`)
    expect(attachment('Über uns.pdf')).toContain("filename*=UTF-8''%C3%9Cber%20uns.pdf")
  })

  it.each([
    'a"; filename="evil.exe',
    'a\r\nSet-Cookie: x=1',
    'a\0b',
    '../../etc/passwd',
    'C:\\windows\\system32',
    'cv\u202efdp.exe',
    'a%22b',
    "a'b;c*=d",
    '\ud800half',
    '🏝'.repeat(300),
    '...',
    '',
    ' ',
  ])('cannot be broken out of with %j', (name) => {
    const header = attachment(name)
    const [, ascii = '', encoded = ''] =
      /^attachment; filename="([\x20-\x7e]*)"; filename\*=UTF-8''([A-Za-z0-9!#$&+.^_`|~%-]*)$/.exec(header) ??
      []
    expect(ascii).not.toBe('')
    expect(ascii).not.toMatch(/["\\/%]/)
    const decoded = decodeURIComponent(encoded)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
    expect(decoded).not.toMatch(/[\u0000-\u001f\u007f"\\/:*?<>|\u202a-\u202e\u2066-\u2069]/)
    expect(decoded).not.toMatch(/^\./)
    expect(header.length).toBeLessThan(2_048)
  })
})
