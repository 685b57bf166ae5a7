import type { HistorySpec } from './broker.ts'
import type { PresenceChange, Roster } from './presence-store.ts'
import type { Position } from './protocol.ts'

/** Stores texts in a room, and answers its position. */
type Store = (room: string, spec: HistorySpec, texts: readonly string[]) => Position

/** A user in a room: through which nodes, and what they show. */
interface Member {
  readonly nodes: Set<string>
  data: string
}

/** Who is where, in one process: the same changes and messages as in Redis; nobody's lease runs out. */
export class MemoryPresence {
  readonly #store: Store
  readonly #rooms = new Map<string, Map<string, Member>>()

  constructor(store: Store) {
    this.#store = store
  }

  change(room: string, spec: HistorySpec, node: string, changes: readonly PresenceChange[]): void {
    const members = this.#rooms.get(room) ?? new Map<string, Member>()
    this.#rooms.set(room, members)
    const texts = changes.flatMap((change) => textOf(members, node, change))
    if (members.size === 0) this.#rooms.delete(room)
    this.#store(room, spec, texts)
  }

  roster(room: string, spec: HistorySpec): Roster {
    const { epoch, offset } = this.#store(room, spec, [])
    const members = [...(this.#rooms.get(room) ?? [])].map(([user, { data }]) => [user, data] as const)
    return { epoch, top: offset, members }
  }

  knows(room: string, node: string, user: string): boolean {
    return this.#rooms.get(room)?.get(user)?.nodes.has(node) ?? false
  }

  bury(node: string, spec: HistorySpec): void {
    for (const [room, members] of this.#rooms) {
      const left = [...members.keys()].map((user) => ({ kind: 'leave', user, data: '' }) as const)
      this.change(room, spec, node, left)
    }
  }
}

/** Carries out one change; answers what is told of it. */
function textOf(members: Map<string, Member>, node: string, change: PresenceChange): readonly string[] {
  const { kind, user, data } = change
  const member = members.get(user)
  const name = JSON.stringify(user)
  if (kind === 'leave') {
    if (!member?.nodes.delete(node) || member.nodes.size > 0) return []
    members.delete(user)
    return [`"leave",{"user":${name}}`]
  }
  if (!member) {
    members.set(user, { nodes: new Set([node]), data })
    return [`"join",{"user":${name},"data":${data}}`]
  }
  member.nodes.add(node)
  if (kind === 'assert' || member.data === data) return []
  member.data = data
  return [`"update",{"user":${name},"data":${data}}`]
}
