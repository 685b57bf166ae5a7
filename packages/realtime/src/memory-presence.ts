import type { HistorySpec } from './broker.ts'
import type { PresenceStore } from './presence-store.ts'
import type { Position } from './protocol.ts'

/** Stores texts in a room, and answers its position. */
type Store = (room: string, spec: HistorySpec, texts: readonly string[]) => Position

/** Who is where, in one process: the same changes and messages as in Redis; nobody's lease runs out. */
export function memoryPresence(store: Store): PresenceStore {
  const rooms = new Map<string, Map<string, string>>()
  return {
    async change(room, spec, _node, changes, last) {
      const members = rooms.get(room) ?? new Map<string, string>()
      rooms.set(room, members)
      const texts: string[] = []
      for (const { kind, user, data } of changes) {
        const known = members.get(user)
        const name = JSON.stringify(user)
        if (kind === 'leave') {
          if (members.delete(user)) texts.push(`"leave",{"user":${name}}`)
        } else if (known === undefined || (kind === 'enter' && known !== data)) {
          members.set(user, data)
          texts.push(`"${known === undefined ? 'join' : 'update'}",{"user":${name},"data":${data}}`)
        }
      }
      if (last) rooms.delete(room)
      store(room, spec, texts)
    },
    async roster(room, spec) {
      const { epoch, offset } = store(room, spec, [])
      return { epoch, top: offset, members: [...(rooms.get(room) ?? [])] }
    },
    knows: async (room, _node, user) => rooms.get(room)?.has(user) ?? false,
    renew: async () => ({ state: 'renewed', expired: [] }),
    async bury(_node, spec) {
      for (const [room, members] of rooms) {
        const texts = [...members.keys()].map((user) => `"leave",{"user":${JSON.stringify(user)}}`)
        store(room, spec, texts)
      }
      rooms.clear()
    },
  }
}
