import { vi } from 'vitest'

/** Does something as if it were done ten minutes ago, so that what it makes can be over now without any wait. */
export async function earlier<T>(work: () => Promise<T>): Promise<T> {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() - 600_000 })
  try {
    return await work()
  } finally {
    vi.useRealTimers()
  }
}
