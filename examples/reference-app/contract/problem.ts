/** RFC 9457 problem document: the body of every answer that is not 2xx, as `application/problem+json`. */
export interface Problem {
  /** `https://…` is not used: a relative reference such as `/problems/validation`. */
  readonly type: string
  readonly title: string
  readonly status: number
  readonly detail?: string
  /** Field name to what is wrong with it, for `/problems/validation`. */
  readonly errors?: Readonly<Record<string, string>>
  /** Seconds, with 429 and 503. */
  readonly retryAfter?: number
  /** The current state, with 409 of a stale version. */
  readonly current?: unknown
}
