import { describe, expect, it } from 'vitest'
import { type TicketClaims, TicketSigner } from '../../src/ticket.ts'

const signer = new TicketSigner('a secret that is long enough for this')
const claims: TicketClaims = {
  id: 'id',
  purpose: 'resume',
  subject: 'user-1',
  type: 'application/pdf',
  size: 7,
  name: 'Lebenslauf ü 🏝.pdf',
  sha256: undefined,
  md5: undefined,
  expiresAt: 1,
  completeBy: 2,
  multipart: undefined,
}

describe('a ticket', () => {
  it('says what it was given, on every node with the secret', () => {
    const token = signer.sign({ ...claims, multipart: { uploadId: 'u', partSize: 8, hashed: false } })
    expect(new TicketSigner('a secret that is long enough for this').open(token)).toMatchObject({
      subject: 'user-1',
      name: claims.name,
      completeBy: 2,
      multipart: { uploadId: 'u', partSize: 8, hashed: false },
    })
    expect(new TicketSigner('another secret that is long enough').open(token)).toBeUndefined()
  })

  it('is refused when any one character of it is another', () => {
    const token = signer.sign(claims)
    for (let at = 0; at < token.length; at++) {
      for (const other of ['A', 'z', '.', '=', ' ', '\0']) {
        if (token[at] === other) continue
        expect(signer.open(token.slice(0, at) + other + token.slice(at + 1))).toBeUndefined()
      }
    }
  })

  it('is refused in every other spelling of the same bytes', () => {
    const token = signer.sign(claims)
    const [body = '', mac = ''] = token.split('.')
    for (const other of [
      `${token}=`,
      `${token} `,
      ` ${token}`,
      `${token}.`,
      `${body}=.${mac}`,
      `${body}.${mac}.${mac}`,
      `${body}.${Buffer.from(mac, 'base64url').toString('base64')}`,
      `${body}.${Buffer.from(mac, 'base64url').toString('hex')}`,
    ]) {
      expect(signer.open(other)).toBeUndefined()
    }
  })

  it.each([undefined, null, 7, {}, [], '', '.', '..', 'a.', '.a', 'x'.repeat(1e6), `${'a.'.repeat(4_000)}`])(
    'is not %j',
    (token) => {
      expect(signer.open(token)).toBeUndefined()
    },
  )
})
