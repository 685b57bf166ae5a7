import { expect, it } from 'vitest'
import { Presigner } from '../../src/presign.ts'
import { redactUrl } from '../../src/redact-url.ts'

it('leaves nothing of a signed URL that could be used', () => {
  const signer = new Presigner('https://s3.example.com', 'bucket', 'auto', {
    accessKeyId: 'AKID',
    secretAccessKey: 'secret',
    sessionToken: 'session/token+=',
  })
  const url = signer.sign({ method: 'GET', key: 'cv.pdf', expires: 60 }, 0)
  const signature = new URL(url).searchParams.get('X-Amz-Signature') ?? ''
  for (const text of [url, `GET ${url} failed`, `<a href="${url}">`, `${url}#x ${url}`, url.toLowerCase()]) {
    const safe = redactUrl(text)
    expect(safe).not.toContain(signature)
    expect(safe.toLowerCase()).not.toContain('akid')
    expect(safe).not.toContain(encodeURIComponent('session/token+='))
    expect(safe.toLowerCase()).toContain('cv.pdf')
  }
  expect(redactUrl('/complete?token=abc.def&x=1')).toBe('/complete?token=REDACTED&x=1')
  expect(redactUrl('nothing here')).toBe('nothing here')
})
