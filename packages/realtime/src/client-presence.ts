import type { ClientHandle } from './client-handle.ts'
import type { ClientRoom, RoomStatus } from './client-room.ts'
import { Signal } from './client-signal.ts'
import type { PresenceInput, PresenceOutput } from './contract.ts'
import type { PresenceMember } from './protocol.ts'

/** Who is in a room, as it changes; each listener's returned function removes it. */
export interface PresenceHandle<Room> {
  readonly status: RoomStatus
  /** Everybody who is there, each user once. A new array after each change, the same one until then. */
  readonly members: readonly PresenceMember<PresenceOutput<Room>>[]
  /**
   * Enters, or changes what is shown; the user stays through reconnects and moves until `leave` or `close`. Two
   * devices of one user are one member, which shows what was said last. Rejects when the server refuses.
   */
  enter(data: PresenceInput<Room>): Promise<void>
  /** Stops being there, and goes on watching. */
  leave(): Promise<void>
  /** Calls `listener` when somebody comes, changes or goes. */
  onChange(listener: (members: readonly PresenceMember<PresenceOutput<Room>>[]) => void): () => void
  /** Calls `listener` at each change of `status`. */
  onStatus(listener: (status: RoomStatus) => void): () => void
  /** Leaves, and stops watching. */
  close(): void
}

interface Told {
  readonly user: string
  readonly data: unknown
}

export class ClientPresence {
  readonly #handle: ClientHandle
  readonly #room: ClientRoom
  readonly #changes = new Signal<[members: readonly PresenceMember[]]>()
  #known = new Map<string, unknown>()
  #list: readonly PresenceMember[] | undefined
  #entered = false

  constructor(handle: ClientHandle, room: ClientRoom) {
    this.#handle = handle
    this.#room = room
    handle.onState((members) => {
      this.#known = new Map(members as [string, unknown][])
      this.#changed()
    })
    for (const event of ['join', 'update', 'leave']) {
      handle.on(event, (told) => {
        const { user, data } = told as Told
        if (event === 'leave') this.#known.delete(user)
        else this.#known.set(user, data)
        this.#changed()
      })
    }
  }

  get status(): RoomStatus {
    return this.#handle.status
  }

  get members(): readonly PresenceMember[] {
    this.#list ??= [...this.#known].map(([userId, data]) => ({ userId, data }))
    return this.#list
  }

  async enter(data: unknown): Promise<void> {
    this.#entered = true
    await this.#handle.publish('enter', data)
    // From now on said again with each new connection.
    if (this.#entered) this.#room.present = data
  }

  async leave(): Promise<void> {
    this.#entered = false
    this.#room.present = undefined
    await this.#handle.publish('leave', null)
  }

  onChange(listener: (members: readonly PresenceMember[]) => void): () => void {
    return this.#changes.add(listener)
  }

  onStatus(listener: (status: RoomStatus) => void): () => void {
    return this.#handle.onStatus(listener)
  }

  close(): void {
    // Others may go on watching through the same connection.
    if (this.#entered && this.#room.holders > 1) this.leave().catch(() => {})
    this.#handle.close()
  }

  #changed(): void {
    this.#list = undefined
    this.#changes.emit(this.members)
  }
}
