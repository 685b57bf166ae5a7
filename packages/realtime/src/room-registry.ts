import type { OptionReader } from '@cays/core/options'
import type { HistorySpec } from './broker.ts'
import { type Contract, isEphemeral, type RoomContract, schemaOf } from './contract.ts'
import { RealtimeError } from './errors.ts'
import { PRESENCE_HISTORY } from './node-presence.ts'
import { PRESENCE_PREFIX } from './protocol.ts'
import { historySpec, type ResolvedBase } from './resolve-options.ts'
import { formatRoom, type RoomMatcher, roomMatcher } from './room-name.ts'

/** A room as the server names it: where it lives and what may be said in it. */
export interface RoomAddress {
  /** The name at the broker. */
  readonly key: string
  readonly pattern: string
  readonly spec: HistorySpec
  readonly contract: RoomContract | undefined
}

/** One event, checked and encoded. */
export interface EncodedEvent {
  readonly ephemeral: boolean
  /** `"event",data` as JSON text. */
  readonly text: string
}

/** A room a client asked for. */
export interface FoundRoom {
  readonly address: RoomAddress
  readonly params: Readonly<Record<string, string>>
  /** The room's name; for a presence room, the name of the room it belongs to. */
  readonly room: string
  readonly presence: boolean
}

export const MAX_MESSAGE = 1_048_576
const MAX_NAME = 256
const MAX_PRESENCE = 4_096

/** The rooms an app has, with their history and their events. */
export class RoomRegistry {
  readonly #contract: Contract | undefined
  readonly #specs = new Map<string, HistorySpec>()
  readonly #fallback: HistorySpec
  readonly #user: HistorySpec
  readonly #matcher: RoomMatcher

  constructor(
    contract: Contract | undefined,
    base: ResolvedBase,
    reader: OptionReader,
    patterns: readonly string[] = Object.keys(contract?.rooms ?? {}),
  ) {
    this.#contract = contract
    this.#fallback = base.history
    for (const [pattern, room] of Object.entries(contract?.rooms ?? {})) {
      this.#specs.set(
        pattern,
        historySpec(room, base.history, reader, `contract.rooms['${pattern}'].history`),
      )
    }
    this.#user = historySpec(contract?.user, base.history, reader, 'contract.user.history')
    this.#matcher = roomMatcher(patterns)
  }

  /** The room a server publishes to. */
  address(pattern: string, params: Readonly<Record<string, unknown>> | undefined): RoomAddress {
    if (this.#contract && !Object.hasOwn(this.#contract.rooms, pattern)) {
      throw new RealtimeError('REALTIME_ERR_UNKNOWN_ROOM', 'the contract has no such room pattern')
    }
    const key = formatRoom(pattern, params)
    if (key === undefined) {
      throw new RealtimeError(
        'REALTIME_ERR_UNKNOWN_ROOM',
        `room '${pattern}': a parameter is missing or empty`,
      )
    }
    return this.#checked({ key, pattern, ...this.#described(pattern) })
  }

  /** The room that belongs to a user. */
  user(userId: string): RoomAddress {
    if (typeof userId !== 'string' || userId === '') {
      throw new RealtimeError('REALTIME_ERR_UNKNOWN_ROOM', 'a user id is a text that is not empty')
    }
    const key = `~${userId}`
    return this.#checked({ key, pattern: '~', spec: this.#user, contract: this.#contract?.user })
  }

  /** The room a client asked for, when some pattern fits. */
  match(name: string): FoundRoom | undefined {
    const presence = name.startsWith(PRESENCE_PREFIX)
    const room = presence ? name.slice(PRESENCE_PREFIX.length) : name
    const matched = this.#matcher.match(room)
    if (!matched) return undefined
    const { pattern, params } = matched
    const described = this.#described(pattern)
    const spec = presence ? PRESENCE_HISTORY : described.spec
    return { address: { key: name, pattern, ...described, spec }, params, room, presence }
  }

  #described(pattern: string): Pick<RoomAddress, 'spec' | 'contract'> {
    const rooms = this.#contract?.rooms
    return {
      spec: this.#specs.get(pattern) ?? this.#fallback,
      contract: rooms && Object.hasOwn(rooms, pattern) ? rooms[pattern] : undefined,
    }
  }

  #checked(address: RoomAddress): RoomAddress {
    if (address.key.length > MAX_NAME) {
      throw new RealtimeError('REALTIME_ERR_TOO_LARGE', `a room name may have ${MAX_NAME} characters`)
    }
    return address
  }
}

/** Checks data against the event's schema and encodes it once, for every frame and the history. */
export async function encodeEvent(
  contract: RoomContract | undefined,
  event: string,
  data: unknown,
): Promise<EncodedEvent> {
  if (typeof event !== 'string' || event === '' || event.length > MAX_NAME) {
    throw new RealtimeError(
      'REALTIME_ERR_UNKNOWN_EVENT',
      `an event has a name of 1 to ${MAX_NAME} characters`,
    )
  }
  if (!contract) return { ephemeral: false, text: textOf(event, data) }
  const declared = Object.hasOwn(contract.events, event) ? contract.events[event] : undefined
  if (!declared) throw new RealtimeError('REALTIME_ERR_UNKNOWN_EVENT', 'the room has no such event')
  const result = await schemaOf(declared)['~standard'].validate(data)
  if (result.issues) {
    throw new RealtimeError('REALTIME_ERR_INVALID_DATA', "the data does not fit the event's schema", {
      cause: result.issues,
    })
  }
  return { ephemeral: isEphemeral(declared), text: textOf(event, result.value) }
}

/** Checks what somebody shows of themselves in a room, and encodes it. */
export async function encodePresence(contract: RoomContract | undefined, data: unknown): Promise<string> {
  const checked = contract?.presence && (await contract.presence['~standard'].validate(data))
  if (checked?.issues || data === null || data === undefined) {
    throw new RealtimeError('REALTIME_ERR_INVALID_DATA', "the data does not fit the room's presence schema")
  }
  const text = JSON.stringify(checked ? checked.value : data)
  if (text === undefined || text.length > MAX_PRESENCE) {
    throw new RealtimeError('REALTIME_ERR_TOO_LARGE', `presence data may have ${MAX_PRESENCE} characters`)
  }
  return text
}

function textOf(event: string, data: unknown): string {
  let text: string
  try {
    text = `${JSON.stringify(event)},${JSON.stringify(data ?? null) ?? 'null'}`
  } catch (cause) {
    throw new RealtimeError('REALTIME_ERR_INVALID_DATA', 'the data cannot be written as JSON', { cause })
  }
  if (text.length > MAX_MESSAGE) {
    throw new RealtimeError('REALTIME_ERR_TOO_LARGE', `a message may have ${MAX_MESSAGE} characters`)
  }
  return text
}
