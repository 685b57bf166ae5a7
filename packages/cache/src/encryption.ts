import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject, randomBytes } from 'node:crypto'

/** A secret that values are encrypted with in Redis. */
export interface EncryptionKey {
  /** Names the secret in what is stored, for readers to find it: letters, digits, `_` and `-`, 32 at most. */
  readonly id: string
  /** 32 random bytes. */
  readonly secret: Uint8Array
}

/** The first character of an encrypted text; the codec's own are `j` and `t`, a compressed one's is `b`. */
const ENCRYPTED = 'e'
const NONCE = 12
const TAG = 16

/**
 * AES-256-GCM (NIST SP 800-38D) with a random nonce per text, under the first of several keys; any of them opens.
 * What a text is about, and the id of its key, are authenticated with it: moved to another place, it does not open.
 */
export class Vault {
  readonly #subject: string
  readonly #keys = new Map<string, KeyObject>()
  readonly #first: string

  /** Texts of one subject do not open under another one. */
  constructor(subject: string, keys: readonly [EncryptionKey, ...EncryptionKey[]]) {
    this.#subject = subject
    this.#first = keys[0].id
    for (const { id, secret } of keys) this.#keys.set(id, createSecretKey(secret))
  }

  seal(about: string, plain: string | Uint8Array): string {
    const nonce = randomBytes(NONCE)
    const cipher = createCipheriv('aes-256-gcm', this.#keys.get(this.#first) as KeyObject, nonce)
    cipher.setAAD(this.#bound(this.#first, about))
    const parts = [nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]
    return `${ENCRYPTED}${this.#first}.${Buffer.concat(parts).toString('base64')}`
  }

  /** `undefined` for a text that is not encrypted, has an unknown key, or is not what was sealed here. */
  open(about: string, text: string): Buffer | undefined {
    const dot = text.indexOf('.')
    const id = text.slice(1, dot)
    const key = this.#keys.get(id)
    if (!isEncrypted(text) || !key) return undefined
    const bytes = Buffer.from(text.slice(dot + 1), 'base64')
    if (bytes.length < NONCE + TAG) return undefined
    const cipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, NONCE), { authTagLength: TAG })
    cipher.setAAD(this.#bound(id, about)).setAuthTag(bytes.subarray(-TAG))
    try {
      return Buffer.concat([cipher.update(bytes.subarray(NONCE, -TAG)), cipher.final()])
    } catch {
      return undefined
    }
  }

  /** Neither subject nor id has a line break. */
  #bound(id: string, about: string): Buffer {
    return Buffer.from(`${this.#subject}\n${id}\n${about}`)
  }
}

export function isEncrypted(text: string): boolean {
  return text.startsWith(ENCRYPTED)
}
