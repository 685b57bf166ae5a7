import type { Decision, PolicyDecision } from './decision.ts'
import type { PartitionKeys } from './partition-keys.ts'

/** `'ietf'`: RateLimit and RateLimit-Policy; `'legacy'`: X-RateLimit-*; both or none of them. */
export type HeaderStyle = 'ietf' | 'legacy' | 'both' | 'none'

/**
 * The response fields for a decision: `RateLimit-Policy` and `RateLimit` as structured fields
 * (draft-ietf-httpapi-ratelimit-headers, RFC 9651), `Retry-After` in whole seconds, rounded up, when denied.
 *
 * A denial lists the policies in its way alone, so that `Retry-After` is never earlier than a `t` beside it.
 * The partition key stands for the subject, which is never told.
 */
export function limitFields(
  decision: Decision,
  style: HeaderStyle,
  subject: string,
  partitions: PartitionKeys,
): Readonly<Record<string, string>> {
  const fields: Record<string, string> = {}
  let tightest: PolicyDecision | undefined
  let policies = ''
  let standing = ''
  const partition = style === 'ietf' || style === 'both' ? partitions.of(subject) : ''
  for (const name in decision.policies) {
    const policy = decision.policies[name] as PolicyDecision
    if (policy.shadow) continue
    policies += `${policies && ', '}${policyItem(name, policy)}`
    if (decision.allowed || decision.limitedBy.includes(name)) {
      standing += `${standing && ', '}"${name}";r=${policy.remaining}${resetParameter(policy)}${partition}`
    }
    if (!tightest || shareOf(policy) < shareOf(tightest)) tightest = policy
  }
  if (tightest && partition) {
    fields['RateLimit-Policy'] = policies
    fields.RateLimit = standing
  }
  if (tightest && (style === 'legacy' || style === 'both')) {
    const reset = tightest.allowed ? tightest.resetAfter : tightest.retryAfter
    fields['X-RateLimit-Limit'] = String(Math.floor(tightest.limit))
    fields['X-RateLimit-Remaining'] = String(tightest.remaining)
    if (Number.isFinite(reset)) {
      fields['X-RateLimit-Reset'] = String(secondsOf(Date.now() + reset))
    }
  }
  if (!decision.allowed && Number.isFinite(decision.retryAfter)) {
    fields['Retry-After'] = String(Math.max(1, secondsOf(decision.retryAfter)))
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
  return Number.isFinite(wait) ? `;t=${secondsOf(wait)}` : ''
}

// Rounded up, and within the whole numbers of structured fields.
function secondsOf(milliseconds: number): number {
  return Math.min(999_999_999_999_999, Math.ceil(milliseconds / 1_000))
}

// What is left of the capacity; a policy that denies has nothing.
function shareOf(policy: PolicyDecision): number {
  return policy.allowed ? policy.remaining / policy.capacity : -1
}
