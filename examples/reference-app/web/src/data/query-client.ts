import { keepPreviousData, QueryClient } from '@tanstack/react-query'
import { ApiError } from './api.ts'

export { keepPreviousData }

/** Keys that begin with this hold what belongs to the account, and go when it does. */
export const PRIVATE = 'private'

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      // Offline is shown as such instead of as loading for ever; coming back loads again.
      networkMode: 'always',
      refetchOnReconnect: true,
      staleTime: 10_000,
      gcTime: 10 * 60_000,
      retry: (failures, error) => failures < 2 && isPassing(error),
      retryDelay: (failures, error) =>
        error instanceof ApiError && error.problem.retryAfter
          ? Math.min(5_000, error.problem.retryAfter * 1_000)
          : 400 * 2 ** failures,
    },
    mutations: { networkMode: 'always', retry: false },
  },
})

/** A node that restarts or a failover: likely gone in a moment. A limit is not: it is shown with its wait. */
function isPassing(error: unknown): boolean {
  return (
    error instanceof ApiError &&
    (error.status === 502 || error.status === 503 || (error.status === 0 && navigator.onLine))
  )
}
