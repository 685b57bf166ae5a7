import { AsyncLocalStorage } from 'node:async_hooks'
import { randomUUID } from 'node:crypto'
import { subscribe, tracingChannel, unsubscribe } from 'node:diagnostics_channel'
import type { RequestHandler } from 'express'
import type { NodeStatus, RequestTrace } from '../../contract/status.ts'

type CacheTier = NonNullable<RequestTrace['cache']>

/** What one request did underneath, collected while it runs. */
interface RequestNotes {
  cache: CacheTier | null
  readonly databases: Set<string>
  limited: boolean
}

/** The recent requests of one node and what each of them touched: what `/status` draws. */
export interface Activity extends Disposable {
  readonly middleware: RequestHandler
  recent(): readonly RequestTrace[]
  readonly cache: NodeStatus['cache']
  readonly limiter: NodeStatus['limiter']
  /** The limiter decided about the request that runs now. */
  countDecision(allowed: boolean): void
}

export interface ActivityOptions {
  readonly node: string
  /** The name to show for a database server, by `host:port`. */
  readonly databaseName: (server: string) => string
}

const RECENT = 30

const TIERS: Readonly<Record<string, CacheTier>> = {
  memory: 'l1',
  redis: 'l2',
  loaded: 'load',
  stale: 'stale',
}

/** Listens to what the packages say of themselves and keeps, per request, which of it belonged to it. */
export function createActivity(options: ActivityOptions): Activity {
  const { node, databaseName } = options
  const current = new AsyncLocalStorage<RequestNotes>()
  const recent: RequestTrace[] = []
  const cache = { l1: 0, l2: 0, load: 0, stale: 0 }
  const limiter = { allowed: 0, denied: 0 }

  const onRead = (message: unknown) => {
    const { attributes } = message as { readonly attributes: Readonly<Record<string, unknown>> }
    const tier = TIERS[String(attributes['cache.result'])]
    if (!tier) return
    cache[tier]++
    const notes = current.getStore()
    // The slowest tier that a request needed tells most about it.
    if (notes && notes.cache !== 'load') notes.cache = tier
  }

  const askedBy = new WeakMap<object, RequestNotes>()
  const queries = {
    start(message: object) {
      const notes = current.getStore()
      if (notes) askedBy.set(message, notes)
    },
    asyncEnd(message: object) {
      const { attributes } = message as { readonly attributes: Readonly<Record<string, unknown>> }
      const address = attributes['server.address']
      if (address)
        askedBy.get(message)?.databases.add(databaseName(`${address}:${attributes['server.port']}`))
    },
    end() {},
    asyncStart() {},
    error() {},
  }

  subscribe('cays:cache:read', onRead)
  tracingChannel('cays:db-router:query').subscribe(queries)

  return {
    cache,
    limiter,
    recent: () => [...recent].reverse(),
    countDecision(allowed) {
      limiter[allowed ? 'allowed' : 'denied']++
      const notes = current.getStore()
      if (notes && !allowed) notes.limited = true
    },
    middleware(req, res, next) {
      const started = performance.now()
      const notes: RequestNotes = { cache: null, databases: new Set(), limited: false }
      res.once('finish', () => {
        // The pattern and never the path, which may carry ids or anything a stranger typed; the page that
        // shows this asks every second and would fill it with itself.
        const route = notes.limited ? 'any' : (req.route as { readonly path?: string } | undefined)?.path
        if (!route || route.startsWith('/status')) return
        recent.push({
          id: randomUUID(),
          at: new Date().toISOString(),
          node,
          route: `${req.method} ${route}`,
          status: res.statusCode,
          took: Math.round((performance.now() - started) * 10) / 10,
          cache: notes.cache,
          databases: [...notes.databases],
          limited: notes.limited,
        })
        if (recent.length > RECENT) recent.shift()
      })
      current.run(notes, next)
    },
    [Symbol.dispose]() {
      unsubscribe('cays:cache:read', onRead)
      tracingChannel('cays:db-router:query').unsubscribe(queries)
    },
  }
}
