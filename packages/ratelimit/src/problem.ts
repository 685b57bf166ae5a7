import type { Decision } from './decision.ts'

/** An RFC 9457 problem document for a denial, with the problem types of the RateLimit draft. */
export interface LimitProblem {
  readonly type: string
  readonly title: string
  readonly status: 429 | 503
  readonly detail: string
  readonly 'violated-policies': readonly string[]
}

const TYPES = 'https://iana.org/assignments/http-problem-types#'

/** 429 for what the client used up, 503 when the limiter itself cannot decide and its policy is closed. */
export function problemOf(decision: Decision): LimitProblem {
  const common = { 'violated-policies': decision.limitedBy }
  if (decision.reason === 'unavailable') {
    return {
      type: `${TYPES}temporary-reduced-capacity`,
      title: 'Request cannot be satisfied due to temporary server capacity constraints',
      status: 503,
      detail: 'The service cannot count requests at the moment. Try again shortly.',
      ...common,
    }
  }
  if (decision.reason === 'blocked') {
    return {
      type: `${TYPES}abnormal-usage-detected`,
      title: 'Request not satisfied due to detection of abnormal request pattern',
      status: 429,
      detail: 'Requests from this client are refused for a while.',
      ...common,
    }
  }
  return {
    type: `${TYPES}quota-exceeded`,
    title: 'Request cannot be satisfied as assigned quota has been exceeded',
    status: 429,
    detail:
      decision.reason === 'never'
        ? 'This request costs more than the limit can ever allow: make it smaller.'
        : 'Too many requests. Try again after the time in Retry-After.',
    ...common,
  }
}
