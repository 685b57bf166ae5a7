import type { Problem } from '../../../contract/problem.ts'

const TIMEOUT = 20_000

/** What the API, or the lack of it, said: status 0 means that no answer came at all. */
export class ApiError extends Error {
  readonly status: number
  readonly problem: Problem

  constructor(problem: Problem, options?: ErrorOptions) {
    super(problem.detail ?? problem.title, options)
    this.name = 'ApiError'
    this.status = problem.status
    this.problem = problem
  }
}

export interface CallOptions {
  readonly method?: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  readonly body?: unknown
  readonly signal?: AbortSignal | undefined
}

type Listener = () => void
const signedOutListeners = new Set<Listener>()

/** Tells that nobody is signed in any more. */
export function onSignedOut(listener: Listener): () => void {
  signedOutListeners.add(listener)
  return () => signedOutListeners.delete(listener)
}

/** What everyone who listens does when the session is over, however the page learnt it. */
export function tellSignedOut(): void {
  for (const listener of signedOutListeners) listener()
}

/** Asks the API; throws {@link ApiError} for everything that is not an answer. */
export async function call<T>(path: string, options: CallOptions = {}): Promise<T> {
  const { method = 'GET', body, signal } = options
  let answer: Response
  try {
    answer = await fetch(`/api/v1${path}`, {
      method,
      signal: AbortSignal.any([AbortSignal.timeout(TIMEOUT), ...(signal ? [signal] : [])]),
      ...(body === undefined
        ? {}
        : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    })
    if (answer.ok) return (answer.status === 204 ? undefined : await answer.json()) as T
  } catch (error) {
    if (signal?.aborted) throw error
    throw new ApiError(unreachable(), { cause: error })
  }
  const problem = await problemOf(answer)
  if (answer.status === 401 && path !== '/sessions') tellSignedOut()
  throw new ApiError(problem)
}

function unreachable(): Problem {
  return navigator.onLine
    ? {
        type: '/problems/unreachable',
        status: 0,
        title: 'Harbour does not answer.',
        detail: 'The connection broke on the way. Nothing you did is lost.',
      }
    : {
        type: '/problems/offline',
        status: 0,
        title: 'You are offline.',
        detail: 'This loads by itself when you are back.',
      }
}

async function problemOf(answer: Response): Promise<Problem> {
  const retryAfter = Number(answer.headers.get('retry-after')) || undefined
  try {
    const body = (await answer.json()) as Problem
    if (typeof body.title === 'string') {
      return {
        ...body,
        status: answer.status,
        ...(retryAfter && body.retryAfter === undefined ? { retryAfter } : {}),
      }
    }
  } catch {
    // A gateway in front of the app answers in its own words.
  }
  return {
    type: '/problems/unavailable',
    status: answer.status,
    title: answer.status >= 500 ? 'This part is taking a break.' : 'The request was not understood.',
    ...(retryAfter ? { retryAfter } : {}),
  }
}

/** Whatever was thrown, as a problem that can be shown. */
export function problemFrom(error: unknown): Problem {
  if (error instanceof ApiError) return error.problem
  return { type: '/problems/internal', status: 500, title: 'Something broke on this page.' }
}
