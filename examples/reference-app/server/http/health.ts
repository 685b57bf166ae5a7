import { monitorEventLoopDelay } from 'node:perf_hooks'
import { type RequestHandler, Router } from 'express'

export interface Readiness {
  /** False once the node drains: the balancer sends no new requests. */
  readonly accepting: boolean
  drain(): void
}

export function createReadiness(): Readiness {
  let accepting = true
  return {
    get accepting() {
      return accepting
    },
    drain() {
      accepting = false
    },
  }
}

/** Asks clients of a draining node, its balancer's probes included, to open their next connection elsewhere. */
export function closeWhenDraining(readiness: Readiness): RequestHandler {
  return (_req, res, next) => {
    if (!readiness.accepting) res.set('Connection', 'close')
    next()
  }
}

// A loop that was late by this much for most of a while cannot serve well; the balancer should look elsewhere.
const OVERLOADED = 1_000

/**
 * `/health/live` answers while the process can answer at all and touches nothing else. `/health/ready` also
 * asks whether this node wants requests. Databases are reported, not asked: if one blips, taking every node
 * out of the balancer would turn a slow page into no page.
 */
export function healthRoutes(readiness: Readiness, report: () => object): Router {
  const loop = monitorEventLoopDelay({ resolution: 20 })
  loop.enable()
  const reset = setInterval(() => loop.reset(), 10_000)
  reset.unref()
  const router = Router()
  router.get('/health/live', (_req, res) => {
    res.json({ status: 'live' })
  })
  router.get('/health/ready', (_req, res) => {
    const late = loop.percentile(50) / 1e6
    const ready = readiness.accepting && late < OVERLOADED
    res
      .status(ready ? 200 : 503)
      .set('Cache-Control', 'no-store')
      .json({ status: ready ? 'ready' : readiness.accepting ? 'overloaded' : 'draining', ...report() })
  })
  return router
}
