import { createElement, StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { EventStreamSocket } from '../../src/client/sse.ts'
import { type ClientOptions, createClient, type Gap } from '../../src/client.ts'
import { realtimeHooks } from '../../src/react.ts'

/** What a page of the browser tests can do; the tests call it. */
export interface TestPage {
  /** Joins `job:1` and writes down the numbers in its `n` events. */
  start(options?: { readonly eventStream?: boolean; readonly patient?: boolean }): void
  readonly numbers: readonly number[]
  readonly gaps: readonly { readonly after: number; readonly gap: Gap }[]
  status(): string
  /** `pageshow` events so far: whether each came out of the back/forward cache. */
  readonly shown: readonly boolean[]
  /** Renders a component with the hooks; the answer removes it. */
  render(): () => void
}

const numbers: number[] = []
const gaps: { after: number; gap: Gap }[] = []
const shown: boolean[] = []
addEventListener('pageshow', ({ persisted }) => shown.push(persisted))

const url = `${location.origin.replace('http', 'ws')}/rt`
const base: ClientOptions = { url, getToken: () => 'ann', backoff: { base: 50, cap: 400 } }
let room: ReturnType<ReturnType<typeof createClient>['room']> | undefined

function start({ eventStream = false, patient = false } = {}): void {
  const client = createClient({
    ...base,
    ...(eventStream && { WebSocket: EventStreamSocket }),
    // So patient that only an event of the browser can wake it in time.
    ...(patient && { backoff: { base: 1e9, cap: 1e9 } }),
  })
  room = client.room('job:{id}', { id: 1 })
  room.on('n', (data) => numbers.push(data as number))
  room.onGap((gap) => gaps.push({ after: numbers.length, gap }))
}

function render(): () => void {
  const { useConnection, usePresence, useRoom } = realtimeHooks(createClient(base))
  function Sum() {
    const { state, status } = useRoom(
      'job:{id}',
      { id: 1 },
      {
        initial: 0,
        on: { n: (sum, data) => sum + Number(data) },
      },
    )
    const { members } = usePresence('job:{id}', { id: 1 }, { via: 'react' })
    const users = members.map(({ userId }) => userId).join(',')
    return createElement('output', null, `${useConnection()} ${status} ${state} ${users}`)
  }
  const root = createRoot(document.body.appendChild(document.createElement('div')))
  root.render(createElement(StrictMode, null, createElement(Sum)))
  return () => root.unmount()
}

const page: TestPage = { start, numbers, gaps, shown, render, status: () => room?.status ?? 'none' }
Object.assign(globalThis, { page })
