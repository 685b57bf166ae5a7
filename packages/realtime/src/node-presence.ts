import { delay } from '@cays/core/abort'
import { backoff } from '@cays/core/backoff'
import type { HistorySpec } from './broker.ts'
import { PresenceLease } from './presence-lease.ts'
import type { PresenceChange, PresenceStore, Roster } from './presence-store.ts'
import { PRESENCE } from './telemetry.ts'

/*
 * Who is in which room, as far as this node knows: the users of its own connections.
 *
 * Invariants:
 * 1. The store hears of a user's first seat in a room and of the last one given up, and of nothing between:
 *    its writes grow with people who come and go, not with connections or time.
 * 2. Changes of one room are carried out one batch after the other, and repeated until they are stored.
 * 3. A store may forget a room as a whole. So it is asked now and then for the user told to it longest ago, who
 *    comes first in `members`; when it does not know, everybody of the room is told anew.
 */

export interface NodePresenceOptions {
  readonly node: string
  readonly store: PresenceStore
  /** Milliseconds a node is believed without a sign of life. */
  readonly lease: number
  /** Milliseconds a user whose connection broke is still there. */
  readonly grace: number
  /** Milliseconds between two questions whether the store still knows who is there. */
  readonly checkInterval: number
  /** The node's name in telemetry. */
  readonly instance: string
}

/** A user in a room, through one connection. */
export interface Seat {
  /** Resolves when the store knows. */
  readonly stored: Promise<void>
  update(data: string): Promise<void>
  /** Given up at once, or, when the connection broke, after the grace; once. */
  leave(broken: boolean): void
}

interface Member {
  seats: number
  data: string
  grace: NodeJS.Timeout | undefined
}

interface LocalRoom {
  readonly members: Map<string, Member>
  readonly changed: Map<string, PresenceChange['kind']>
  storing: Promise<void> | undefined
  roster: Promise<Roster> | undefined
  nextRoster: Promise<Roster> | undefined
}

/** How much of the comings and goings a client that comes back can be told one by one. */
export const PRESENCE_HISTORY: HistorySpec = { size: 500, ttl: 300_000 }

export class NodePresence {
  readonly #options: NodePresenceOptions
  readonly #rooms = new Map<string, LocalRoom>()
  readonly #controller = new AbortController()
  readonly #lease: PresenceLease
  #checking: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(options: NodePresenceOptions) {
    this.#options = options
    const { node, store, lease } = options
    this.#lease = new PresenceLease({
      node,
      store,
      length: lease,
      renamed: () => this.assert(),
      bury: async (id, own) => {
        await store.bury(id, PRESENCE_HISTORY)
        if (!own) this.#tell('cleanup')
      },
    })
  }

  /** Puts a user into a room. */
  sit(room: string, user: string, data: string): Seat {
    const local = this.#local(room)
    let member = local.members.get(user)
    if (!member) {
      member = { seats: 0, data, grace: undefined }
      local.members.set(user, member)
      local.changed.set(user, 'enter')
      this.#tell('enter')
    }
    clearTimeout(member.grace)
    const seated = member
    seated.seats++
    let left = false
    const update = (next: string) => {
      if (seated.data !== next && !left) {
        seated.data = next
        local.changed.set(user, 'enter')
      }
      return this.#store(room, local)
    }
    return {
      stored: update(data),
      update,
      leave: (broken) => {
        if (left) return
        left = true
        if (--seated.seats > 0) return
        const gone = () => {
          local.members.delete(user)
          local.changed.set(user, 'leave')
          this.#tell('leave')
          void this.#store(room, local).catch(() => {})
        }
        if (!broken) gone()
        else if (!this.#controller.signal.aborted)
          seated.grace = setTimeout(gone, this.#options.grace).unref()
      },
    }
  }

  /** Who is in a room, on all nodes, as of a moment after this call; callers of one moment share one read. */
  async roster(room: string): Promise<Roster> {
    await this.#begin()
    const local = this.#local(room)
    if (!local.roster) {
      local.roster = this.#options.store.roster(room, PRESENCE_HISTORY).finally(() => {
        local.roster = undefined
        this.#forget(room, local)
      })
      return await local.roster
    }
    local.nextRoster ??= local.roster
      .catch(() => {})
      .then(() => {
        local.nextRoster = undefined
        return this.roster(room)
      })
    return await local.nextRoster
  }

  /** Says again who is there, because the store may have forgotten. */
  async assert(): Promise<void> {
    for (const [room, local] of this.#rooms) await this.#assert(room, local)
  }

  /** Everybody of this node leaves now. */
  async close(): Promise<void> {
    if (this.#controller.signal.aborted) return
    this.#controller.abort()
    clearInterval(this.#timer)
    const storing = [...this.#rooms.values()].map((local) => {
      for (const { grace } of local.members.values()) clearTimeout(grace)
      return local.storing
    })
    await Promise.allSettled([...storing, this.#lease.stop(), this.#checking])
    this.#rooms.clear()
    // A store that is away cannot be told; the lease then ends by itself.
    if (this.#lease.held) await this.#options.store.bury(this.#lease.id, PRESENCE_HISTORY).catch(() => {})
  }

  #local(room: string): LocalRoom {
    let local = this.#rooms.get(room)
    if (!local) {
      local = {
        members: new Map(),
        changed: new Map(),
        storing: undefined,
        roster: undefined,
        nextRoster: undefined,
      }
      this.#rooms.set(room, local)
    }
    return local
  }

  #forget(room: string, local: LocalRoom): void {
    if (local.members.size + local.changed.size === 0 && !local.storing && !local.roster) {
      this.#rooms.delete(room)
    }
  }

  #assert(room: string, local: LocalRoom): Promise<void> {
    for (const user of local.members.keys()) {
      if (!local.changed.has(user)) local.changed.set(user, 'assert')
    }
    return this.#store(room, local)
  }

  #tell(change: 'enter' | 'leave' | 'repair' | 'cleanup'): void {
    if (PRESENCE.active) PRESENCE.publish({ instance: this.#options.instance, attributes: { change } })
  }

  #store(room: string, local: LocalRoom): Promise<void> {
    if (local.changed.size === 0) return local.storing ?? Promise.resolve()
    local.storing ??= this.#runStore(room, local).finally(() => {
      local.storing = undefined
      this.#forget(room, local)
    })
    return local.storing
  }

  async #runStore(room: string, local: LocalRoom): Promise<void> {
    const { signal } = this.#controller
    for (let attempt = 0; local.changed.size > 0; ) {
      signal.throwIfAborted()
      try {
        await this.#begin()
        const changes = changesOf(local)
        local.changed.clear()
        try {
          const last = local.members.size === 0
          await this.#options.store.change(room, PRESENCE_HISTORY, this.#lease.id, changes, last)
          for (const { user } of changes) {
            const member = local.members.get(user)
            if (member && local.members.delete(user)) local.members.set(user, member)
          }
        } catch (error) {
          for (const { kind, user } of changes) if (!local.changed.has(user)) local.changed.set(user, kind)
          throw error
        }
      } catch {
        await delay(backoff(attempt++, { base: 100, cap: 2_000 }), { signal, unref: true })
      }
    }
  }

  async #begin(): Promise<void> {
    await this.#lease.hold()
    if (this.#timer || this.#controller.signal.aborted) return
    this.#timer = setInterval(() => {
      this.#checking ??= this.#check()
        .catch(() => {})
        .finally(() => {
          this.#checking = undefined
        })
    }, this.#options.checkInterval)
    this.#timer.unref()
  }

  async #check(): Promise<void> {
    for (const [room, local] of [...this.#rooms]) {
      const [oldest] = local.members.keys()
      if (this.#controller.signal.aborted || oldest === undefined || local.storing) continue
      if (await this.#options.store.knows(room, this.#lease.id, oldest)) continue
      // It may have left, or been told, in the meantime.
      if (local.storing || !local.members.has(oldest)) continue
      this.#tell('repair')
      await this.#assert(room, local)
    }
  }
}

function changesOf(local: LocalRoom): readonly PresenceChange[] {
  return [...local.changed].map(([user, kind]) => {
    const member = local.members.get(user)
    if (!member) return { kind: 'leave', user, data: '' }
    return { kind: kind === 'leave' ? 'enter' : kind, user, data: member.data }
  })
}
