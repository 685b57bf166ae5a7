import type { Attribute, Operation } from '@cays/core/tracing'
import { codeOf, isServerError } from './failure.ts'
import { isSuperseded, type Superseded } from './hedged-read.ts'
import { formatLsn, type Position } from './lsn.ts'
import type { PlaceReason } from './placement.ts'
import type { Server } from './server.ts'
import { addressOf, QUERY_CHANNEL } from './telemetry.ts'

/** What subscribers of {@link QUERY_CHANNEL} are told of one statement: where it ran, why, what that took. */
export class DecisionTrace implements Operation {
  readonly instance: string
  readonly attributes: Record<string, Attribute>
  readonly details: Record<string, Attribute> = {}
  outcome = 'ok'
  readonly #calledAt = performance.now()
  #sent = 0

  constructor(instance: string, command: string) {
    this.instance = instance
    this.attributes = {
      'db.system.name': 'postgresql',
      'db.operation.name': command,
      'cays.reason': '',
      'cays.attempts': 0,
    }
  }

  /** It is sent to `server`, not for the first time perhaps. `position`: what it has to show there. */
  sent(server: Server, reason: PlaceReason, position: Position | undefined): void {
    const { attributes, details } = this
    const now = performance.now()
    this.#sent++
    Object.assign(attributes, addressOf(server), { 'cays.role': server.role, 'cays.reason': reason })
    details['cays.waited'] = (now - this.#calledAt) / 1_000
    if (position) {
      details['cays.timeline'] = position.timeline
      details['cays.position'] = formatLsn(position.lsn)
    }
    delete details['cays.staleness']
    if (server.role === 'replica' && server.freshAsOf > 0) {
      details['cays.staleness'] = (now - server.freshAsOf) / 1_000
    }
  }

  /** Publishes the start and the end of `work`; `attempts` tells at its end how often it was tried, sent or not. */
  async follow<T>(work: () => Promise<T>, attempts = () => this.#sent): Promise<T> {
    const result = await QUERY_CHANNEL.trace<T | Superseded>(this, async () => {
      try {
        return await work()
      } catch (error) {
        this.outcome = (error as { outcome?: string } | null)?.outcome ?? 'error'
        if (isServerError(error)) this.attributes['db.response.status_code'] = codeOf(error) ?? ''
        // No failure: another server has answered.
        if (isSuperseded(error)) return error as Superseded
        throw error
      } finally {
        this.attributes['cays.attempts'] = attempts()
      }
    })
    if (isSuperseded(result)) throw result
    return result as T
  }
}
