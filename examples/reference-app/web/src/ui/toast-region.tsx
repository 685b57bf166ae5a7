import { Check, TriangleAlert, X } from 'lucide-react'
import { useEffect, useState } from 'react'
import { Link, useLocation } from 'react-router'
import { dismissToast, type Toast, useToasts } from '../data/toasts.ts'
import { LiveDot } from './badge.tsx'

const STAYS = 7_000

/** What happened elsewhere and what did not work; read out politely, gone by itself, kept while looked at. */
export function ToastRegion() {
  const toasts = useToasts()
  return (
    <section
      aria-label="Messages"
      aria-live="polite"
      className="pointer-events-none fixed inset-x-3 bottom-20 z-50 flex flex-col items-stretch gap-2 sm:inset-x-auto sm:right-5 sm:bottom-5 sm:w-90"
    >
      {toasts.map((toast) => (
        <ToastCard key={toast.id} toast={toast} />
      ))}
    </section>
  )
}

function ToastCard({ toast }: { readonly toast: Toast }) {
  const [held, setHeld] = useState(false)
  const { pathname } = useLocation()
  useEffect(() => {
    if (held) return
    const timer = setTimeout(() => dismissToast(toast.id), STAYS)
    return () => clearTimeout(timer)
  }, [held, toast.id])
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: pointing at a message only keeps it
    <div
      onPointerEnter={() => setHeld(true)}
      onPointerLeave={() => setHeld(false)}
      onFocus={() => setHeld(true)}
      onBlur={() => setHeld(false)}
      className="arrive pointer-events-auto flex items-start gap-3 rounded-card border border-edge bg-raised py-3 pr-2 pl-4 text-sm"
    >
      <span className="mt-0.5 flex h-4 flex-none items-center">
        {toast.tone === 'live' && <LiveDot />}
        {toast.tone === 'done' && <Check aria-hidden size={16} className="text-reef" />}
        {toast.tone === 'problem' && <TriangleAlert aria-hidden size={16} className="text-coral" />}
      </span>
      <p className="min-w-0 flex-1">
        {toast.text}
        {toast.href && toast.href !== pathname && (
          <>
            {' '}
            <Link
              to={toast.href}
              className="font-medium text-sea underline underline-offset-2"
              onClick={() => dismissToast(toast.id)}
            >
              Look
            </Link>
          </>
        )}
      </p>
      <button
        type="button"
        aria-label="Dismiss message"
        className="-my-1 grid size-8 flex-none place-items-center rounded-md text-faint hover:bg-sunken hover:text-ink"
        onClick={() => dismissToast(toast.id)}
      >
        <X aria-hidden size={16} />
      </button>
    </div>
  )
}
