import type { IncomingMessage } from 'node:http'
import { raceDeadline } from '@cays/core/abort'
import { momentOf } from './access.ts'
import type { ConnectionHost } from './connection-host.ts'
import { tooSlow } from './connection-work.ts'
import type { Identity } from './options.ts'
import { CLOSE } from './protocol.ts'

/** Who a connection belongs to, and until when that holds. */
export class ConnectionIdentity<Who extends Identity> {
  readonly #host: ConnectionHost<Who>
  #request: IncomingMessage | undefined
  #info: unknown
  #who: Who | undefined
  #expiresAt = Number.POSITIVE_INFINITY

  constructor(host: ConnectionHost<Who>, request: IncomingMessage) {
    this.#host = host
    this.#request = request
  }

  get who(): Who | undefined {
    return this.#who
  }

  /** Milliseconds until it ends; Infinity when it has no end. */
  left(now: number = Date.now()): number {
    return this.#expiresAt - now
  }

  /** Asks the app who it is; answers the close code of a refusal. Rejects with what the app threw. */
  async prove(token: string, info: unknown, signal: AbortSignal): Promise<number | undefined> {
    this.#info = info
    return await this.#prove(token, signal)
  }

  /** The same with a fresh token, which must be the same user's. */
  async refresh(token: string, signal: AbortSignal): Promise<number | undefined> {
    // Who has no end is not asked again.
    return this.#request && (await this.#prove(token, signal))
  }

  /** Lets go of the upgrade request. */
  end(): void {
    this.#request = undefined
  }

  async #prove(token: string, signal: AbortSignal): Promise<number | undefined> {
    const request = this.#request
    if (!request) return CLOSE.unauthorized
    const { handshakeTimeout } = this.#host.limits
    const work = Promise.resolve(this.#host.authenticate({ token, request, info: this.#info, signal }))
    const who = await raceDeadline(work, handshakeTimeout, tooSlow, signal)
    if (!who || typeof who.userId !== 'string' || who.userId === '') return CLOSE.unauthorized
    if (this.#who && this.#who.userId !== who.userId) return CLOSE.unauthorized
    const expiresAt = momentOf(who.expiresAt)
    if (expiresAt <= Date.now()) return CLOSE.tokenExpired
    this.#who = who
    this.#expiresAt = expiresAt
    // Nobody has to be asked again; a request and its headers weigh more than all the rest of an idle connection.
    if (!Number.isFinite(expiresAt)) this.#request = undefined
    return undefined
  }
}
