import type { ErrorRequestHandler, RequestHandler, Response } from 'express'
import type { Logger } from 'pino'
import { ZodError } from 'zod'
import type { Problem } from '../../contract/problem.ts'

type ProblemKind =
  | 'validation'
  | 'malformed'
  | 'unauthenticated'
  | 'forbidden'
  | 'not-found'
  | 'conflict'
  | 'refused'
  | 'too-large'
  | 'too-many-requests'
  | 'unavailable'
  | 'internal'

const KINDS: Readonly<Record<ProblemKind, { readonly status: number; readonly title: string }>> = {
  malformed: { status: 400, title: 'The request could not be read.' },
  unauthenticated: { status: 401, title: 'Please sign in.' },
  forbidden: { status: 403, title: 'This is not yours to do.' },
  'not-found': { status: 404, title: 'There is nothing here.' },
  conflict: { status: 409, title: 'Someone else was faster.' },
  'too-large': { status: 413, title: 'That is too large.' },
  validation: { status: 422, title: 'Some fields need another look.' },
  refused: { status: 422, title: 'The file was refused.' },
  'too-many-requests': { status: 429, title: 'Too many requests.' },
  internal: { status: 500, title: 'Something broke on our side.' },
  unavailable: { status: 503, title: 'This part is taking a break.' },
}

/** Thrown by a route to answer with a problem document; the message is for the log alone. */
export class HttpProblem extends Error {
  readonly kind: ProblemKind
  readonly extra: Partial<Problem>

  constructor(kind: ProblemKind, extra: Partial<Problem> = {}, options?: ErrorOptions) {
    super(extra.detail ?? KINDS[kind].title, options)
    this.name = 'HttpProblem'
    this.kind = kind
    this.extra = extra
  }
}

export function sendProblem(res: Response, kind: ProblemKind, extra: Partial<Problem> = {}): void {
  const problem: Problem = { type: `/problems/${kind}`, ...KINDS[kind], ...extra }
  if (problem.retryAfter !== undefined) res.setHeader('Retry-After', String(problem.retryAfter))
  res.setHeader('Cache-Control', 'no-store')
  // Set already when a file was announced that is not there.
  res.removeHeader('Content-Encoding')
  res.status(problem.status).type('application/problem+json').send(JSON.stringify(problem))
}

export const notFound: RequestHandler = (_req, res) => sendProblem(res, 'not-found')

/** The last handler: turns whatever was thrown into a problem document that gives nothing away. */
export function problemHandler(log: Logger): ErrorRequestHandler {
  return (error: unknown, req, res, _next) => {
    if (res.headersSent) {
      // Half an answer cannot be taken back; cutting the connection tells the client that it is not whole.
      log.error({ err: error, route: req.route?.path }, 'failed while answering')
      res.destroy()
      return
    }
    const { kind, extra } = problemOf(error)
    if (kind === 'internal') log.error({ err: error, route: req.route?.path }, 'unexpected error')
    else if (kind === 'unavailable')
      log.warn({ err: error, route: req.route?.path }, 'a dependency did not answer')
    sendProblem(res, kind, extra)
  }
}

function problemOf(error: unknown): { readonly kind: ProblemKind; readonly extra?: Partial<Problem> } {
  if (error instanceof HttpProblem) return error
  if (error instanceof ZodError) return { kind: 'validation', extra: { errors: fieldErrors(error) } }
  const { type, status, retryable } = error as { type?: unknown; status?: unknown; retryable?: unknown }
  // What Express' body parser says of a body it would not take.
  if (type === 'entity.too.large') return { kind: 'too-large' }
  if (status === 400 || status === 415 || error instanceof URIError) return { kind: 'malformed' }
  // The packages mark what can succeed later: a database failing over, Redis gone, a full queue.
  if (retryable === true)
    return {
      kind: 'unavailable',
      extra: { retryAfter: 2, detail: outageOf((error as { code?: unknown }).code) },
    }
  return { kind: 'internal' }
}

/** What is away and what still works, for the visitor; the codes' prefixes name the package that gave up. */
function outageOf(code: unknown): string {
  const [part] = String(code).split('_')
  if (part === 'DB') return 'The database did not answer. Try again in a moment.'
  if (part === 'STORAGE') return 'Résumés cannot be sent or opened right now. Everything else works.'
  return 'A part of Harbour did not answer. Try again in a moment.'
}

function fieldErrors(error: ZodError): Record<string, string> {
  return Object.fromEntries(
    error.issues
      .slice(0, 20)
      .map((issue) => [
        issue.code === 'unrecognized_keys' ? 'body' : issue.path.join('.').slice(0, 80) || 'body',
        issue.code === 'unrecognized_keys' ? 'There is a field we do not know.' : issue.message,
      ]),
  )
}
