import { useMutation, useQuery } from '@tanstack/react-query'
import type { DemoActionName, SystemStatus } from '../../../contract/status.ts'
import { call } from './api.ts'
import { queryClient } from './query-client.ts'

const KEY = ['status'] as const

/** The running system, once a second while the page is looked at. */
export function useSystemStatus(every: number | false) {
  return useQuery({
    queryKey: KEY,
    queryFn: ({ signal }) => call<SystemStatus>('/status', { signal }),
    refetchInterval: every,
    staleTime: 0,
    retry: false,
    // Each answer is a sample of its own, equal or not to the one before.
    structuralSharing: false,
  })
}

export function useDemoAction() {
  return useMutation({
    mutationFn: (name: DemoActionName) => call<SystemStatus>(`/demo/${name}`, { method: 'POST', body: {} }),
    onSuccess: (status) => queryClient.setQueryData<SystemStatus>(KEY, status),
  })
}
