import { TriangleAlert } from 'lucide-react'
import { useEffect, useState } from 'react'
import { problemFrom } from '../data/api.ts'
import { useCountdown } from './notice.tsx'

/** Why what was just asked for did not happen, next to the button that asked. */
export function InlineProblem({ error }: { readonly error: unknown }) {
  if (!error) return null
  const { title, detail, status, retryAfter } = problemFrom(error)
  return (
    <p
      role="alert"
      className="arrive flex items-start gap-2 rounded-card bg-coral-wash px-3 py-2.5 text-sm text-coral"
    >
      <TriangleAlert aria-hidden size={18} className="mt-px flex-none" />
      <span>
        {detail ?? title}
        {status === 429 && retryAfter && <Wait seconds={retryAfter} />}
      </span>
    </p>
  )
}

function Wait({ seconds }: { readonly seconds: number }) {
  const left = useCountdown(seconds)
  return (
    <span className="tabular-nums">
      {left > 0 ? ` You can try again in ${left} s.` : ' You can try again now.'}
    </span>
  )
}

/** True for as long as the limit that `error` tells of holds: the button waits with it. */
export function useHeldBack(error: unknown): boolean {
  const [until, setUntil] = useState(0)
  const { status, retryAfter } = error ? problemFrom(error) : { status: 200, retryAfter: undefined }
  useEffect(() => {
    if (status !== 429 || !retryAfter || !error) return
    setUntil(Date.now() + retryAfter * 1_000)
    const timer = setTimeout(() => setUntil(0), retryAfter * 1_000)
    return () => clearTimeout(timer)
  }, [error, status, retryAfter])
  return until > 0
}
