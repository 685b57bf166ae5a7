import { CloudOff, Compass, Hourglass, type LucideIcon, RotateCw, TriangleAlert } from 'lucide-react'
import { type ReactNode, useEffect, useRef, useState } from 'react'
import { problemFrom } from '../data/api.ts'
import { button } from './button.ts'

export interface NoticeProps {
  readonly icon: LucideIcon
  readonly title: string
  readonly children?: ReactNode
  readonly actions?: ReactNode
  readonly heading?: 'h1' | 'h2'
}

/** An empty or a broken place, said kindly, with a way on. */
export function Notice({ icon: Icon, title, children, actions, heading: Heading = 'h2' }: NoticeProps) {
  return (
    <div className="card arrive flex flex-col items-center px-6 py-12 text-center">
      <span className="mb-4 grid size-12 place-items-center rounded-full bg-sea-wash text-sea">
        <Icon aria-hidden size={22} />
      </span>
      <Heading className="text-lg font-semibold">{title}</Heading>
      {children && <div className="mt-1 max-w-[48ch] text-soft">{children}</div>}
      {actions && <div className="mt-5 flex flex-wrap justify-center gap-2">{actions}</div>}
    </div>
  )
}

export interface ProblemProps {
  readonly error: unknown
  readonly onRetry?: (() => unknown) | undefined
  /** What was not found, when that is the problem. */
  readonly missing?: string
  readonly heading?: 'h1' | 'h2'
}

/** Something could not be loaded: why, and when it makes sense to try again. */
export function ProblemNotice({ error, onRetry, missing, heading = 'h2' }: ProblemProps) {
  const problem = problemFrom(error)
  const { status, retryAfter } = problem
  const icon = status === 0 ? CloudOff : status === 404 ? Compass : status === 429 ? Hourglass : TriangleAlert
  return (
    <div role="alert">
      <Notice
        heading={heading}
        icon={icon}
        title={status === 404 && missing ? missing : problem.title}
        actions={
          onRetry && status !== 404 && status !== 403 ? (
            status === 429 ? (
              <RetryIn key={retryAfter} seconds={retryAfter ?? 1} onRetry={onRetry} />
            ) : (
              <RetryButton onRetry={onRetry} />
            )
          ) : undefined
        }
      >
        {problem.detail}
      </Notice>
    </div>
  )
}

function RetryButton({ onRetry }: { readonly onRetry: () => unknown }) {
  return (
    <button type="button" className={button('secondary')} onClick={() => void onRetry()}>
      <RotateCw aria-hidden size={16} />
      Try again
    </button>
  )
}

function RetryIn({ seconds, onRetry }: { readonly seconds: number; readonly onRetry: () => unknown }) {
  const left = useCountdown(seconds, onRetry)
  return (
    <p className="rounded-card bg-sunken px-4 py-2 text-sm tabular-nums">
      {left > 0 ? `Trying again in ${left} s` : 'Trying again'}
    </p>
  )
}

/** Whole seconds that are left; calls `onDone` once when none is. */
export function useCountdown(seconds: number, onDone?: () => unknown): number {
  const [left, setLeft] = useState(seconds)
  const done = useRef(onDone)
  useEffect(() => {
    done.current = onDone
  })
  useEffect(() => {
    const end = Date.now() + seconds * 1_000
    setLeft(seconds)
    const timer = setInterval(() => {
      const remaining = Math.max(0, Math.ceil((end - Date.now()) / 1_000))
      setLeft(remaining)
      if (remaining > 0) return
      clearInterval(timer)
      void done.current?.()
    }, 250)
    return () => clearInterval(timer)
  }, [seconds])
  return left
}
