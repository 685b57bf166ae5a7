import { useEffect, useSyncExternalStore } from 'react'
import type { RealtimeToken } from '../../../contract/account.ts'
import type { liveContract } from '../../../server/live.ts'
import { STATUS_LABELS } from '../ui/status-labels.ts'
import { fetchMe } from './account.ts'
import { call, tellSignedOut } from './api.ts'
import { mergeMine, mergeReceived } from './applications.ts'
import { EMPLOYER_JOBS } from './jobs.ts'
import { addNotification } from './notifications.ts'
import { PRIVATE, queryClient } from './query-client.ts'
import { toast } from './toasts.ts'

/** How live the page is. `off`: nobody is signed in. */
export type LiveState = 'off' | 'connecting' | 'live' | 'waiting'

let state: LiveState = 'off'
const listeners = new Set<() => void>()

export function useLiveState(): LiveState {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    () => state,
  )
}

/** One socket for the page while this account is signed in; what arrives goes into the queries' cache. */
export function useLive(accountId: string | undefined): void {
  useEffect(() => {
    if (accountId === undefined) return
    const controller = new AbortController()
    void stayConnected(controller.signal)
    return () => controller.abort()
  }, [accountId])
}

async function stayConnected(signal: AbortSignal): Promise<void> {
  setState('connecting')
  signal.addEventListener('abort', () => setState('off'))
  const { createClient } = await import('@cays/realtime/client')
  for (let failures = 0; !signal.aborted; failures++) {
    await connection(createClient, signal)
    if (signal.aborted) return
    // The server ended it for good: this session is over, or only its sockets are.
    setState('waiting')
    await new Promise((resolve) => setTimeout(resolve, Math.min(20_000, 500 * 2 ** failures)))
    if (signal.aborted) return
    try {
      if ((await fetchMe(signal)) === null) return tellSignedOut()
    } catch {
      // Nobody could say who is signed in; the next connection will find out.
    }
  }
}

type Create = typeof import('@cays/realtime/client')['createClient']

/** Ends when the client stopped or the page no longer wants it. */
function connection(createClient: Create, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    const client = createClient<typeof liveContract>({
      url: () => `${location.origin.replace(/^http/, 'ws')}/rt`,
      getToken: async (request) =>
        (await call<RealtimeToken>('/realtime/tokens', { method: 'POST', body: {}, signal: request.signal }))
          .token,
    })
    const mine = client.user()
    mine.on('application-received', (application) => {
      mergeReceived(application)
      void queryClient.invalidateQueries({ queryKey: EMPLOYER_JOBS })
    })
    mine.on('application-moved', (application) => {
      if (!mergeReceived(application)) return
      const where = STATUS_LABELS[application.status].employer.toLowerCase()
      toast(`${application.applicant.name} was moved to ${where} elsewhere.`, {
        tone: 'live',
        href: `/employer/jobs/${application.jobId}`,
      })
      void queryClient.invalidateQueries({ queryKey: EMPLOYER_JOBS })
    })
    mine.on('application-status', mergeMine)
    mine.on('notification', (notification) => {
      addNotification(notification)
      toast(notification.text, { tone: 'live', href: notification.href })
    })
    const reload = () => void queryClient.invalidateQueries({ queryKey: [PRIVATE] })
    mine.onGap(reload)
    let joined = false
    mine.onStatus((status) => {
      // What happened between the page's first load and its first socket was told to nobody.
      if (status === 'subscribed' && !joined) {
        joined = true
        reload()
      }
    })
    client.onStatus((status) => {
      if (status === 'connected') setState('live')
      else if (status === 'waiting') setState('waiting')
      else if (status === 'stopped' || status === 'closed') resolve()
    })
    signal.addEventListener('abort', () => void client.close())
  })
}

function setState(value: LiveState): void {
  if (state === value) return
  state = value
  for (const listener of listeners) listener()
}
