import { useSyncExternalStore } from 'react'
import { ago, moment } from './format.ts'

const STEP = 30_000

/** A time that keeps saying the truth while the page stays open. */
export function TimeAgo({ iso }: { readonly iso: string }) {
  const now = useSyncExternalStore(everyStep, () => Math.floor(Date.now() / STEP)) * STEP
  return (
    <time dateTime={iso} title={moment(iso)}>
      {ago(iso, Math.max(now, 0))}
    </time>
  )
}

function everyStep(listener: () => void): () => void {
  const timer = setInterval(listener, STEP)
  return () => clearInterval(timer)
}
