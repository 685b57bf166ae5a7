import type { RequestHandler } from 'express'
import { sendProblem } from './problem.ts'

const SAFE = new Set(['GET', 'HEAD', 'OPTIONS'])

/**
 * Refuses writes that another site may have sent with our visitor's cookie. Browsers say where a request
 * comes from in `Sec-Fetch-Site`, older ones in `Origin`; a client that says neither is refused too.
 */
export function sameOriginWrites(origins: readonly string[]): RequestHandler {
  return (req, res, next) => {
    if (SAFE.has(req.method)) return next()
    const site = req.headers['sec-fetch-site']
    const { origin } = req.headers
    const allowed =
      site === undefined ? origin !== undefined && origins.includes(origin) : site === 'same-origin'
    if (allowed) next()
    else sendProblem(res, 'forbidden', { detail: 'A change must come from a page of this site.' })
  }
}
