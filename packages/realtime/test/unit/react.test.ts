import { createElement } from 'react'
import { renderToString } from 'react-dom/server'
import { expect, it } from 'vitest'
import { createClient } from '../../src/client.ts'
import { realtimeHooks } from '../../src/react.ts'

it('hooks render on a server, where they connect to nothing', () => {
  const client = createClient({
    url: () => {
      throw new Error('connected')
    },
  })
  const { useConnection, usePresence, useRoom } = realtimeHooks(client)
  function Page() {
    const { state, status } = useRoom('job:{id}', { id: 1 }, { initial: 'nothing yet' })
    const { members } = usePresence('job:{id}', { id: 1 }, 'here')
    return createElement('p', null, [useConnection(), status, state, members.length].join(' '))
  }
  expect(renderToString(createElement(Page))).toBe('<p>idle subscribing nothing yet 0</p>')
  expect(client.status).toBe('idle')
})
