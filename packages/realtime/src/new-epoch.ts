import { randomBytes } from 'node:crypto'

/** A name no other epoch of any room has: 72 random bits, without the separators used in Redis. */
export function newEpoch(): string {
  return randomBytes(9).toString('base64url')
}

/** 256 random bits that nobody can guess. */
export function newSecret(): string {
  return randomBytes(32).toString('base64url')
}
