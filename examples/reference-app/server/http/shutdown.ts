import type { Server } from 'node:http'
import { delay } from '@cays/core/abort'
import type { Logger } from 'pino'
import type { Readiness } from './health.ts'

export interface ShutdownOptions {
  readonly server: Server
  readonly readiness: Readiness
  readonly log: Logger
  /** Milliseconds the balancer needs to notice that this node is no longer ready. */
  readonly notice: number
  /** Milliseconds after which what is still running is cut. */
  readonly limit: number
  /** Moves the open sockets to other nodes. */
  readonly drainSockets: () => Promise<unknown>
  /** Closes pools and clients, in order, once no request runs any more. */
  readonly close: () => Promise<unknown>
}

/**
 * Leaves without a failed request: readiness off, wait until the balancer saw it, move sockets away, finish
 * what runs, close what was opened. Returns the function to call on SIGTERM; more calls join the first.
 */
export function gracefulShutdown(options: ShutdownOptions): () => Promise<void> {
  const { server, readiness, log, notice, limit } = options
  let leaving: Promise<void> | undefined
  const leave = async () => {
    const cut = setTimeout(() => {
      log.warn('some requests did not finish in time and are cut')
      server.closeAllConnections()
    }, limit)
    cut.unref()
    readiness.drain()
    log.info('draining')
    await delay(notice)
    await options.drainSockets()
    const closed = new Promise<void>((resolve) => server.close(() => resolve()))
    // A kept-alive connection turns idle whenever its last answer is out, not only now.
    const idle = setInterval(() => server.closeIdleConnections(), 50)
    await closed
    clearInterval(idle)
    await options.close()
    clearTimeout(cut)
    log.info('closed')
  }
  return () => {
    leaving ??= leave()
    return leaving
  }
}
