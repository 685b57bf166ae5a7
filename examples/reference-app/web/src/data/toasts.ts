import { useSyncExternalStore } from 'react'

export interface Toast {
  readonly id: number
  readonly text: string
  /** `live`: it happened elsewhere. `problem`: it did not work. */
  readonly tone: 'done' | 'live' | 'problem'
  readonly href?: string | undefined
}

const MOST = 4
let toasts: readonly Toast[] = []
let next = 1
const listeners = new Set<() => void>()

export function toast(text: string, options: Partial<Omit<Toast, 'id' | 'text'>> = {}): void {
  const shown: Toast = { id: next++, text, tone: options.tone ?? 'done', href: options.href }
  // The same message twice in a row is one message.
  change([...toasts.filter((each) => each.text !== text), shown].slice(-MOST))
}

export function dismissToast(id: number): void {
  change(toasts.filter((each) => each.id !== id))
}

export function useToasts(): readonly Toast[] {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    () => toasts,
  )
}

function change(value: readonly Toast[]): void {
  toasts = value
  for (const listener of listeners) listener()
}
