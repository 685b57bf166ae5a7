import { useMutation, useQuery } from '@tanstack/react-query'
import type { Notification } from '../../../contract/application.ts'
import { call } from './api.ts'
import { PRIVATE, queryClient } from './query-client.ts'

const KEY = [PRIVATE, 'notifications'] as const
const MOST = 50

export function useNotifications() {
  return useQuery({
    queryKey: KEY,
    queryFn: ({ signal }) => call<Notification[]>('/notifications', { signal }),
  })
}

/** Seen is seen at once; should the server not hear of it, the badge is back with the next load. */
export function useMarkNotificationsRead() {
  return useMutation({
    mutationFn: () => call<void>('/notifications/read', { method: 'POST', body: {} }),
    onMutate: () => {
      queryClient.setQueryData<Notification[]>(KEY, (all) => all?.map((each) => ({ ...each, read: true })))
    },
    onError: () => queryClient.invalidateQueries({ queryKey: KEY }),
  })
}

export function addNotification(notification: Notification): void {
  queryClient.setQueryData<Notification[]>(KEY, (all) =>
    all && !all.some(({ id }) => id === notification.id) ? [notification, ...all].slice(0, MOST) : all,
  )
}
