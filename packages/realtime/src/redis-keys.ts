import { hashSlot } from '@cays/core/redis-script'

const PARTITIONS = 128
const SLOTS_PER_PARTITION = 16_384 / PARTITIONS

/** The keys of one room; all in one cluster slot. */
export class RoomKeys {
  /** Keys of one slot share it. */
  readonly tag: string
  readonly #at: string
  readonly #room: string

  constructor(prefix: string, tag: string, room: string) {
    this.tag = tag
    this.#at = `${prefix}:${tag}`
    this.#room = room
  }

  get meta(): string {
    return `${this.#at}:m:${this.#room}`
  }

  /** The history; the channel of the room has its name too. */
  get stream(): string {
    return `${this.#at}:s:${this.#room}`
  }

  /** Who is in the room, when it is a presence room. */
  get members(): string {
    return `${this.#at}:p:${this.#room}`
  }

  /** The rooms of this part of the keyspace that a node has members in. */
  nodeRooms(node: string): string {
    return `${this.#at}:l:${node}`
  }

  /** Key that remembers an idempotency key. */
  idempotency(key: string): string {
    return `${this.#at}:i:${this.#room}:${key}`
  }

  /** Key that remembers the answer to a call. */
  call(name: string): string {
    return `${this.#at}:a:${name}`
  }
}

/** Names the keys of rooms, and finds the room of a channel. */
export interface KeySpace {
  keys(room: string): RoomKeys
  roomOf(channel: string): string | undefined
  /** 0 to 127; rooms of one partition share a slot. */
  partition(room: string): number
  /** The leases of all nodes. */
  readonly leases: string
  /** What all nodes share. */
  readonly secret: string
  /** Every {@link RoomKeys.nodeRooms} of a node. */
  nodeRooms(node: string): readonly string[]
}

/**
 * Rooms are spread over 128 partitions, each with a hash tag in its own range of 128 slots: a cluster of
 * any size then holds about the same number of partitions per node, and a node needs few shard connections.
 */
export function keySpace(prefix: string): KeySpace {
  const tags = balancedTags()
  return {
    leases: `${prefix}:{${tags[0]}}:n`,
    secret: `${prefix}:{${tags[0]}}:k`,
    nodeRooms: (node) => tags.map((tag) => `${prefix}:{${tag}}:l:${node}`),
    keys: (room) => new RoomKeys(prefix, `{${tags[partitionOf(room)]}}`, room),
    partition: partitionOf,
    roomOf(channel) {
      const end = channel.indexOf('}:s:', prefix.length)
      return end !== -1 && channel.startsWith(`${prefix}:{`) ? channel.slice(end + 4) : undefined
    },
  }
}

function partitionOf(room: string): number {
  // FNV-1a, 32 bit: cheap, and even enough over 128 buckets.
  let hash = 0x811c9dc5
  for (let i = 0; i < room.length; i++) {
    hash ^= room.charCodeAt(i)
    hash = Math.imul(hash, 0x01000193)
  }
  return (hash >>> 0) % PARTITIONS
}

function balancedTags(): readonly string[] {
  const tags: string[] = new Array(PARTITIONS)
  let missing = PARTITIONS
  for (let candidate = 0; missing > 0; candidate++) {
    const tag = candidate.toString(36)
    const partition = Math.floor(hashSlot(tag) / SLOTS_PER_PARTITION)
    if (tags[partition] !== undefined) continue
    tags[partition] = tag
    missing--
  }
  return tags
}
