import { useMutation, useQuery } from '@tanstack/react-query'
import type { Account, SessionInfo, SignIn, SignUp } from '../../../contract/account.ts'
import { call } from './api.ts'
import { PRIVATE, queryClient } from './query-client.ts'

const ME = ['me'] as const
const SESSIONS = [PRIVATE, 'sessions'] as const

/** The account on this page: `undefined` while it is asked for, `null` when nobody is signed in. */
export function useMe() {
  return useQuery({ queryKey: ME, queryFn: ({ signal }) => fetchMe(signal), staleTime: 60_000 })
}

export function fetchMe(signal?: AbortSignal): Promise<Account | null> {
  return call<Account | null>('/me', { signal })
}

/** Somebody else, or nobody, is at this page now: nothing of the account before may stay on it. */
export function setMe(account: Account | null): void {
  queryClient.setQueryData(ME, account)
  queryClient.removeQueries({ queryKey: [PRIVATE] })
  void queryClient.invalidateQueries({ queryKey: ['job'] })
}

export function useSignIn() {
  return useMutation({
    mutationFn: (body: SignIn) => call<Account>('/sessions', { method: 'POST', body }),
    onSuccess: setMe,
  })
}

export function useSignUp() {
  return useMutation({
    mutationFn: (body: SignUp) => call<Account>('/accounts', { method: 'POST', body }),
    onSuccess: setMe,
  })
}

export function useSignOut() {
  return useMutation({
    mutationFn: () => call<void>('/sessions/current', { method: 'DELETE' }),
    onSuccess: () => setMe(null),
  })
}

export function useSessions() {
  return useQuery({
    queryKey: SESSIONS,
    queryFn: ({ signal }) => call<SessionInfo[]>('/sessions', { signal }),
  })
}

export function useRevokeSession() {
  return useMutation({
    mutationFn: (session: SessionInfo) => call<void>(`/sessions/${session.id}`, { method: 'DELETE' }),
    onSuccess: (_, session) => {
      if (session.current) setMe(null)
      else
        queryClient.setQueryData<SessionInfo[]>(SESSIONS, (all) => all?.filter(({ id }) => id !== session.id))
    },
    onError: () => queryClient.invalidateQueries({ queryKey: SESSIONS }),
  })
}
