import type { EventEmitter } from 'node:events'
import type { Submittable } from 'pg'
import type { Checkout, Dispatcher } from './dispatcher.ts'
import type { Route } from './options.ts'
import type { Session } from './session.ts'
import type { Settings } from './settings.ts'

export interface QueryObjectParts {
  readonly dispatcher: Dispatcher
  readonly settings: Settings
  readonly session: Session
  readonly route: Route
  /** Called when it is over, however it ends. */
  readonly done: () => void
}

/** Runs a query object of `pg` such as a cursor or a stream: on one connection, never repeated. */
export function submitQueryObject(query: Submittable, parts: QueryObjectParts): void {
  const emitter = query as unknown as EventEmitter & { handleError(error: unknown): void }
  checkoutFor(query, parts)
    .then(({ connection, release, wrote }) => {
      let ended = false
      const end = (error: unknown) => {
        if (ended) return
        ended = true
        release(error instanceof Error)
        wrote()
        parts.done()
      }
      for (const name of ['end', 'close', 'error']) emitter.on(name, end)
      connection.client.query(query)
    })
    .catch((error: unknown) => {
      parts.done()
      emitter.handleError(error)
    })
}

async function checkoutFor(
  query: Submittable,
  { dispatcher, settings, session, route }: QueryObjectParts,
): Promise<Checkout & { readonly wrote: () => void }> {
  const inner = query as { text?: unknown; cursor?: { text?: unknown } }
  const text = inner.text ?? inner.cursor?.text
  const read =
    route === 'replica' ||
    (route === 'auto' &&
      settings.routing === 'auto' &&
      typeof text === 'string' &&
      dispatcher.isRead(dispatcher.statement(text)))
  if (!read) return { ...(await dispatcher.checkoutPrimary(undefined)), wrote: () => session.wrote() }
  const { consistency, maxStaleness } = settings
  const asked = route === 'replica'
  const demand = { consistency, maxStaleness, session, asked, signal: undefined }
  return { ...(await dispatcher.checkoutReplica(demand)), wrote: () => {} }
}
