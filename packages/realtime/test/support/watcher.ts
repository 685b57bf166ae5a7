import { WebSocket } from 'ws'
import { createClient } from '../../src/client.ts'
import { openRaw } from './raw-client.ts'

/** A client that watches who is in `job:{id}`, and writes down what it is told of each user. */
export function watch(url: string, id: string | number, user = 'watcher') {
  const client = createClient({ url, getToken: () => user, WebSocket, backoff: { base: 50, cap: 400 } })
  const presence = client.presence('job:{id}', { id })
  const changes: string[] = []
  let known = new Map<string, string>()
  presence.onChange((members) => {
    const next = new Map(members.map(({ userId, data }) => [userId, JSON.stringify(data)]))
    for (const userId of known.keys()) if (!next.has(userId)) changes.push(`-${userId}`)
    for (const [userId, data] of next) {
      const before = known.get(userId)
      if (before === undefined) changes.push(`+${userId}`)
      else if (before !== data) changes.push(`~${userId}`)
    }
    known = next
  })
  return {
    client,
    presence,
    changes,
    users: () => presence.members.map(({ userId }) => userId).toSorted(),
    close: () => client.close(),
  }
}

/** A socket that enters `job:{id}` and, unlike a client, never comes back. */
export async function enterRaw(url: string, id: string | number, user: string, data: unknown = {}) {
  const raw = await openRaw(url)
  raw.send(['hello', 1, user, null, [[2, `@job:${id}`, null, null, data]]])
  const answer = () => raw.messages.find(([type]) => type === 'subscribed' || type === 'err')
  while (!answer()) await new Promise((resolve) => setTimeout(resolve, 5))
  return raw
}
