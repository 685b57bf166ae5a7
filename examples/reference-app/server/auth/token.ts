import { createHash, randomBytes } from 'node:crypto'

/** 32 random bytes in 43 characters. */
export function newToken(): string {
  return randomBytes(32).toString('base64url')
}

export function isToken(value: unknown): value is string {
  return typeof value === 'string' && /^[\w-]{43}$/.test(value)
}

/** What is stored of a token. It is random already, so a plain hash is enough. */
export function tokenHash(token: string): string {
  return createHash('sha256').update(token).digest('base64url')
}
