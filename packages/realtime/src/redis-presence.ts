import type { HistorySpec } from './broker.ts'
import { newEpoch } from './new-epoch.ts'
import type { Lease, PresenceChange, PresenceStore, Roster } from './presence-store.ts'
import type { RedisCommands } from './redis-commands.ts'
import type { KeySpace } from './redis-keys.ts'
import {
  KNOWS_SCRIPT,
  LEASE_SCRIPT,
  NODE_ROOMS_SCRIPT,
  presenceScript,
  ROSTER_SCRIPT,
  UNLEASE_SCRIPT,
} from './redis-presence-scripts.ts'

const KINDS = { enter: 'e', assert: 'a', leave: 'l' } as const

/** Who is where, for all nodes that share a Redis. */
export class RedisPresence implements PresenceStore {
  readonly #commands: RedisCommands
  readonly #space: KeySpace
  readonly #publishCommand: string

  constructor(commands: RedisCommands, space: KeySpace, publishCommand: string) {
    this.#commands = commands
    this.#space = space
    this.#publishCommand = publishCommand
  }

  async change(
    room: string,
    spec: HistorySpec,
    node: string,
    changes: readonly PresenceChange[],
    last: boolean,
  ): Promise<void> {
    const texts = changes.flatMap(({ kind, user, data }) => [KINDS[kind], JSON.stringify(user), data])
    await this.#write(room, spec, node, last, texts)
  }

  async roster(room: string): Promise<Roster> {
    const { meta, stream, members } = this.#space.keys(room)
    const reply = await this.#commands.run(ROSTER_SCRIPT, [meta, stream, members], () => [
      newEpoch(),
      this.#commands.runId,
    ])
    const [epoch, top, fields] = reply as readonly [string, number, readonly string[]]
    const entries: [user: string, data: string][] = []
    for (let at = 0; at < fields.length; at += 2) {
      const value = fields[at + 1] ?? ''
      entries.push([JSON.parse(fields[at] ?? '""') as string, value.slice(value.indexOf('\n') + 1)])
    }
    return { epoch, top, members: entries }
  }

  async knows(room: string, node: string, user: string): Promise<boolean> {
    const keys = this.#space.keys(room)
    const names = [keys.members, keys.nodeRooms(node)]
    const found = await this.#commands.run(KNOWS_SCRIPT, names, () => [node, room, JSON.stringify(user)])
    return found === 1
  }

  async renew(node: string, length: number): Promise<Lease> {
    const reply = await this.#commands.run(LEASE_SCRIPT, [this.#space.leases], () => [node, length])
    const [state, expired] = reply as readonly [Lease['state'], readonly string[]]
    return { state, expired }
  }

  async bury(node: string, spec: HistorySpec): Promise<void> {
    const lists = this.#space.nodeRooms(node)
    await Promise.all(
      lists.map(async (list) => {
        const rooms = (await this.#commands.run(NODE_ROOMS_SCRIPT, [list])) as readonly string[]
        for (const room of rooms) await this.#write(room, spec, node, true, ['x', '', ''])
      }),
    )
    // Last: as long as anybody of the node may be left, others can find it.
    await this.#commands.run(UNLEASE_SCRIPT, [this.#space.leases], () => [node])
  }

  async #write(
    room: string,
    spec: HistorySpec,
    node: string,
    last: boolean,
    changes: readonly string[],
  ): Promise<void> {
    const keys = this.#space.keys(room)
    const names = [keys.meta, keys.stream, keys.members, keys.nodeRooms(node)]
    await this.#commands.runGuarded(presenceScript, keys, names, () => [
      this.#publishCommand,
      newEpoch(),
      spec.size,
      spec.ttl,
      node,
      room,
      last ? '1' : '0',
      ...changes,
    ])
  }
}
