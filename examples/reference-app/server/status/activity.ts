import { AsyncLocalStorage } from 'node:async_hooks'
import { randomUUID } from 'node:crypto'
import type { RequestHandler } from 'express'
import type { RequestTrace } from '../../contract/status.ts'

/** What one request did underneath, collected while it runs. */
export interface RequestNotes {
  cache: RequestTrace['cache']
  readonly databases: Set<string>
  limited: boolean
}

const RECENT = 30

/** The recent requests of one node and what each of them touched: what `/status` draws. */
export interface Activity {
  readonly middleware: RequestHandler
  /** The notes of the request that runs now, if one does. */
  notes(): RequestNotes | undefined
  recent(): readonly RequestTrace[]
  readonly counts: {
    readonly l1: number
    readonly l2: number
    readonly load: number
    readonly stale: number
    readonly allowed: number
    readonly denied: number
  }
  countCache(tier: 'l1' | 'l2' | 'load' | 'stale'): void
  countDecision(allowed: boolean): void
}

export function createActivity(node: string): Activity {
  const current = new AsyncLocalStorage<RequestNotes>()
  const recent: RequestTrace[] = []
  const counts = { l1: 0, l2: 0, load: 0, stale: 0, allowed: 0, denied: 0 }
  return {
    counts,
    notes: () => current.getStore(),
    recent: () => recent.toReversed(),
    countCache(tier) {
      counts[tier]++
      const notes = current.getStore()
      // The slowest tier a request needed tells most about it.
      if (notes && notes.cache !== 'load') notes.cache = tier
    },
    countDecision(allowed) {
      counts[allowed ? 'allowed' : 'denied']++
      const notes = current.getStore()
      if (notes && !allowed) notes.limited = true
    },
    middleware(req, res, next) {
      const started = performance.now()
      const notes: RequestNotes = { cache: null, databases: new Set(), limited: false }
      res.once('finish', () => {
        // Route patterns only: a real path may carry ids, and unknown paths come from anyone.
        if (!req.route) return
        recent.push({
          id: randomUUID(),
          at: new Date().toISOString(),
          node,
          route: `${req.method} ${req.baseUrl}${req.route.path}`,
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
  }
}
