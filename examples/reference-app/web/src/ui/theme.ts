import { useSyncExternalStore } from 'react'

/** `system` follows the machine's own choice. */
export type Theme = 'system' | 'light' | 'dark'

const KEY = 'harbour:theme'
const CHANGED = 'harbour:theme-changed'

function storedTheme(): Theme {
  try {
    const stored = localStorage.getItem(KEY)
    return stored === 'light' || stored === 'dark' ? stored : 'system'
  } catch {
    // Storage is off in this browser: the system's choice is as good as any.
    return 'system'
  }
}

/** Called before the first render, so that the page never shows in the wrong colours. */
export function applyStoredTheme(): void {
  const theme = storedTheme()
  if (theme === 'system') delete document.documentElement.dataset.theme
  else document.documentElement.dataset.theme = theme
}

export function setTheme(theme: Theme): void {
  try {
    if (theme === 'system') localStorage.removeItem(KEY)
    else localStorage.setItem(KEY, theme)
  } catch {
    document.documentElement.dataset.theme = theme
  }
  applyStoredTheme()
  dispatchEvent(new Event(CHANGED))
}

export function useTheme(): Theme {
  return useSyncExternalStore(subscribe, storedTheme)
}

/** Calls back when colours may have changed: by choice, in another tab, or by the system. */
export function onColorsChange(listener: () => void): () => void {
  const system = matchMedia('(prefers-color-scheme: dark)')
  system.addEventListener('change', listener)
  const remove = subscribe(listener)
  return () => {
    system.removeEventListener('change', listener)
    remove()
  }
}

function subscribe(listener: () => void): () => void {
  const other = () => {
    applyStoredTheme()
    listener()
  }
  addEventListener(CHANGED, listener)
  addEventListener('storage', other)
  return () => {
    removeEventListener(CHANGED, listener)
    removeEventListener('storage', other)
  }
}
