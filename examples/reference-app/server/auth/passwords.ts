import { availableParallelism } from 'node:os'
import { type Algorithm, hash, verify } from '@node-rs/argon2'
import pLimit from 'p-limit'
import { HttpProblem } from '../http/problem.ts'

// OWASP's minimum for argon2id: 19 MiB, two passes, one lane; some 30 ms of one core.
const COST = { algorithm: 2 as Algorithm, memoryCost: 19_456, timeCost: 2, parallelism: 1 }

// Hashing is the most expensive thing a visitor can ask for. It gets half the cores and a short queue of its
// own, so that a storm of sign-ins delays other sign-ins and nothing else.
const QUEUE = 50

export interface Passwords {
  hash(password: string): Promise<string>
  /** Takes as long for an account that does not exist (`undefined`) as for one that does. */
  verify(passwordHash: string | undefined, password: string): Promise<boolean>
}

export function createPasswords(): Passwords {
  const limit = pLimit(Math.max(1, Math.floor(availableParallelism() / 2)))
  const enter = <T>(work: () => Promise<T>): Promise<T> => {
    if (limit.pendingCount >= QUEUE)
      throw new HttpProblem('unavailable', {
        retryAfter: 3,
        detail: 'Many people are signing in. Try again in a moment.',
      })
    return limit(work)
  }
  let decoy: Promise<string> | undefined
  return {
    hash: async (password) => await enter(() => hash(password, COST)),
    verify: async (passwordHash, password) => {
      decoy ??= hash('nobody has this password', COST)
      const against = passwordHash ?? (await decoy)
      const matches = await enter(() => verify(against, password))
      return matches && passwordHash !== undefined
    },
  }
}
