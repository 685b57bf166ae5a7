import { createHash } from 'node:crypto'
import type { Decision, PolicyDecision } from './decision.ts'

/** `'ietf'`: RateLimit and RateLimit-Policy; `'legacy'`: X-RateLimit-*; both or none of them. */
export type HeaderStyle = 'ietf' | 'legacy' | 'both' | 'none'

/**
 * The response fields for a decision: `RateLimit-Policy` and `RateLimit` as structured fields
 * (draft-ietf-httpapi-ratelimit-headers, RFC 9651), `Retry-After` in whole seconds, rounded up, when denied.
 *
 * A denial lists the policies in its way alone, so that `Retry-After` is never earlier than a `t` beside it.
 * The partition key is a digest of the subject, never the subject.
 */
export function limitFields(
  decision: Decision,
  style: HeaderStyle,
  subject: string,
): Readonly<Record<string, string>> {
  const fields: Record<string, string> = {}
  const entries = (Object.entries(decision.policies) as [string, PolicyDecision][]).filter(
    ([, policy]) => !policy.shadow,
  )
  if (entries.length > 0 && (style === 'ietf' || style === 'both')) {
    const shown = decision.allowed ? entries : entries.filter(([name]) => decision.limitedBy.includes(name))
    const partition = `;pk=:${createHash('sha256').update(subject).digest().subarray(0, 9).toString('base64')}:`
    fields['RateLimit-Policy'] = entries.map(([name, policy]) => policyItem(name, policy)).join(', ')
    fields.RateLimit = shown
      .map(([name, policy]) => `"${name}";r=${policy.remaining}${resetParameter(policy)}${partition}`)
      .join(', ')
  }
  if (entries.length > 0 && (style === 'legacy' || style === 'both')) {
    const tightest = tightestOf(entries.map(([, policy]) => policy))
    const reset = tightest.allowed ? tightest.resetAfter : tightest.retryAfter
    fields['X-RateLimit-Limit'] = String(Math.floor(tightest.limit))
    fields['X-RateLimit-Remaining'] = String(tightest.remaining)
    if (Number.isFinite(reset)) {
      fields['X-RateLimit-Reset'] = String(Math.ceil((Date.now() + reset) / 1_000))
    }
  }
  if (!decision.allowed && Number.isFinite(decision.retryAfter)) {
    fields['Retry-After'] = String(Math.max(1, Math.ceil(decision.retryAfter / 1_000)))
  }
  return fields
}

function policyItem(name: string, policy: PolicyDecision): string {
  const seconds = policy.window / 1_000
  const window = Number.isInteger(seconds) ? `;w=${seconds}` : ''
  const unit = policy.unit === 'requests' ? '' : `;qu="${policy.unit}"`
  return `"${name}";q=${Math.floor(policy.limit)}${window}${unit}`
}

function resetParameter(policy: PolicyDecision): string {
  const wait = policy.allowed ? policy.resetAfter : policy.retryAfter
  return Number.isFinite(wait) ? `;t=${Math.ceil(wait / 1_000)}` : ''
}

function tightestOf(policies: readonly PolicyDecision[]): PolicyDecision {
  const share = (policy: PolicyDecision) => (policy.allowed ? policy.remaining / policy.capacity : -1)
  return policies.reduce((tightest, policy) => (share(policy) < share(tightest) ? policy : tightest))
}
