import { useEffect, useState } from 'react'

/** State that survives a reload of the tab, until it is cleared. */
export function useDraft<T>(key: string, initial: T): readonly [T, (value: T) => void, () => void] {
  const name = `harbour:draft:${key}`
  const [value, setValue] = useState<T>(() => {
    try {
      const stored = sessionStorage.getItem(name)
      return stored === null ? initial : (JSON.parse(stored) as T)
    } catch {
      return initial
    }
  })
  useEffect(() => {
    try {
      if (value === initial) sessionStorage.removeItem(name)
      else sessionStorage.setItem(name, JSON.stringify(value))
    } catch {
      // Storage is off or full: the draft lives as long as the page.
    }
  }, [name, value, initial])
  return [value, setValue, () => setValue(initial)]
}
