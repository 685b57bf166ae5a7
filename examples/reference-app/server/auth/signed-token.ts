import { createHmac, timingSafeEqual } from 'node:crypto'

/** Signs short-lived statements of this server, such as "the bearer may open a socket for this account". */
export interface TokenSigner {
  sign(subject: string, expiresAt: number): string
  /** The subject of a token that is ours and still good. */
  verify(token: string, now: number): string | undefined
}

/** `purpose` keeps a token for one thing from passing for another under the same secret. */
export function tokenSigner(secret: string, purpose: string): TokenSigner {
  const mac = (body: string) => createHmac('sha256', secret).update(`${purpose}\0${body}`).digest()
  return {
    sign(subject, expiresAt) {
      const body = `${Buffer.from(subject).toString('base64url')}.${expiresAt.toString(36)}`
      return `${body}.${mac(body).toString('base64url')}`
    },
    verify(token, now) {
      if (token.length > 512) return undefined
      const [subject, expires, signature, ...rest] = token.split('.')
      if (!subject || !expires || !signature || rest.length > 0) return undefined
      const expected = mac(`${subject}.${expires}`)
      const given = Buffer.from(signature, 'base64url')
      if (given.length !== expected.length || !timingSafeEqual(given, expected)) return undefined
      return Number.parseInt(expires, 36) > now ? Buffer.from(subject, 'base64url').toString() : undefined
    },
  }
}
