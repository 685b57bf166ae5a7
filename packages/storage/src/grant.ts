import { createHash, createHmac } from 'node:crypto'
import type { Credentials } from './presign.ts'

/** What the holder of temporary credentials may do; `-read-write` includes deleting. */
export type GrantPermission = 'object-read-only' | 'object-read-write'

/** Credentials that end; every request with them carries the token. */
export interface TemporaryCredentials extends Credentials {
  readonly sessionToken: string
}

export interface GrantClaims {
  readonly accountId: string
  /** The host that the credentials are for. */
  readonly host: string
  readonly bucket: string
  readonly permission: GrantPermission
  readonly prefixes: readonly string[]
  /** Milliseconds since the epoch. */
  readonly issuedAt: number
  readonly expiresAt: number
}

/**
 * Temporary credentials for R2, minted without asking it: a JWT signed by the parent's secret is the session token,
 * the SHA-256 of that JWT the secret (Cloudflare, "Temporary access credentials", local signing).
 */
export function mintR2Credentials(parent: Credentials, claims: GrantClaims): TemporaryCredentials {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const head = part({ alg: 'HS256', typ: 'JWT' })
  const body = part({
    iss: parent.accessKeyId,
    sub: claims.accountId,
    aud: claims.host,
    iat: Math.floor(claims.issuedAt / 1_000),
    exp: Math.ceil(claims.expiresAt / 1_000),
    bucket: claims.bucket,
    scope: claims.permission,
    paths: { prefixPaths: claims.prefixes },
  })
  const signature = createHmac('sha256', parent.secretAccessKey).update(`${head}.${body}`).digest('base64url')
  const jwt = `${head}.${body}.${signature}`
  return {
    accessKeyId: parent.accessKeyId,
    secretAccessKey: createHash('sha256').update(jwt).digest('hex'),
    sessionToken: Buffer.from(`jwt/${jwt}`).toString('base64'),
  }
}
