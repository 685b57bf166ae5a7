/**
 * The wire protocol `rt1.json`, shared by server and client. PROTOCOL.md is its specification.
 *
 * A frame is text: one or more JSON arrays, separated by a newline. The first item of an array is its type.
 * No message from server to client holds anything about the connection it goes to, so that one encoded
 * frame serves every socket of a room.
 */
export const SUBPROTOCOL = 'rt1.json'

/** The wire name of the room that belongs to the connected user. */
export const USER_ROOM = '~'

/** What the name of a room's presence room begins with. */
export const PRESENCE_PREFIX = '@'

/** Close codes; the client stops at the terminal ones and reconnects after all others. */
export const CLOSE = {
  normal: 1000,
  goingAway: 1001,
  abnormal: 1006,
  policy: 1008,
  tooBig: 1009,
  restart: 1012,
  tryLater: 1013,
  slow: 4000,
  silent: 4001,
  tokenExpired: 4002,
  internal: 4003,
  stateLost: 4004,
  pageHidden: 4005,
  badProtocol: 4500,
  unauthorized: 4501,
  forbidden: 4502,
  kicked: 4503,
  limit: 4504,
  unsupported: 4505,
} as const

/** True when a client must not reconnect by itself after this close code. */
export function isTerminalClose(code: number): boolean {
  return (
    code === CLOSE.normal || code === CLOSE.policy || code === CLOSE.tooBig || (code >= 4500 && code <= 4999)
  )
}

/** Where a reader stands in a room: it has seen everything of this epoch up to and including the offset. */
export interface Position {
  readonly epoch: string
  readonly offset: number
}

/** A user in a room, with what they show of themselves. */
export interface PresenceMember<Data = unknown> {
  readonly userId: string
  readonly data: Data
}

/** One room a client asks for: its request id, the room, and where it stands, if it was there before. */
export interface SubscribeRequest {
  readonly id: number
  readonly room: string
  readonly position?: Position
  /** In a presence room: enter with it. */
  readonly data?: unknown
}

export type ClientMessage =
  | {
      readonly type: 'hello'
      readonly id: number
      readonly token: string
      readonly info: unknown
      readonly rooms: readonly SubscribeRequest[]
    }
  | ({ readonly type: 'sub' } & SubscribeRequest)
  | { readonly type: 'who'; readonly id: number; readonly room: string }
  | { readonly type: 'unsub'; readonly id: number; readonly room: string }
  | {
      readonly type: 'pub'
      readonly id: number
      readonly room: string
      readonly event: string
      readonly data: unknown
      readonly key?: string
    }
  | { readonly type: 'call'; readonly id: number; readonly method: string; readonly input: unknown }
  | { readonly type: 'cancel'; readonly id: number }
  | { readonly type: 'refresh'; readonly id: number; readonly token: string }
  | { readonly type: 'ping' }
  | { readonly type: 'pong' }

/** What `subscribed` says about the past: nothing was asked, all of it follows, or why some of it is gone. */
export const RECOVERED = { notAsked: 0, yes: 1, trimmed: 2, lost: 3 } as const

/** `trimmed`: the history is too short. `lost`: the server's storage lost messages. */
export type GapReason = 'trimmed' | 'lost'

/** Limits a client is told at welcome. Durations in milliseconds. */
export interface Welcome {
  readonly connection: string
  readonly node: string
  readonly ping: number
  readonly time: number
  readonly expiresIn?: number
  readonly payload: number
  readonly rooms: number
}

const MAX_NAME = 256
const MAX_TOKEN = 16_384
const MAX_KEY = 128

/** The message a client sent, or `undefined` when it is none. Never throws, whatever the input. */
export function parseClientMessage(text: string): ClientMessage | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (!Array.isArray(value)) return undefined
  const [type, id, third, fourth, fifth, sixth] = value as readonly unknown[]
  if (type === 'ping' || type === 'pong') return { type }
  if (!isId(id)) return undefined
  switch (type) {
    case 'hello': {
      if (typeof third !== 'string' || third.length > MAX_TOKEN) return undefined
      const rooms = parseRooms(fifth)
      return rooms && { type, id, token: third, info: fourth ?? null, rooms }
    }
    case 'sub': {
      const request = parseSubscribe([id, third, fourth, fifth, sixth])
      return request && { type, ...request }
    }
    case 'unsub':
    case 'who':
      return isName(third) ? { type, id, room: third } : undefined
    case 'pub': {
      if (!isName(third) || !isName(fourth)) return undefined
      if (sixth === undefined || sixth === null) return { type, id, room: third, event: fourth, data: fifth }
      if (typeof sixth !== 'string' || sixth.length === 0 || sixth.length > MAX_KEY) return undefined
      return { type, id, room: third, event: fourth, data: fifth, key: sixth }
    }
    case 'call':
      return isName(third) ? { type, id, method: third, input: fourth } : undefined
    case 'cancel':
      return { type, id }
    case 'refresh':
      return typeof third === 'string' && third.length <= MAX_TOKEN ? { type, id, token: third } : undefined
    default:
      return undefined
  }
}

function parseRooms(value: unknown): readonly SubscribeRequest[] | undefined {
  if (value === undefined || value === null) return []
  if (!Array.isArray(value)) return undefined
  const rooms: SubscribeRequest[] = []
  for (const item of value as readonly unknown[]) {
    const request = Array.isArray(item) ? parseSubscribe(item) : undefined
    if (!request) return undefined
    rooms.push(request)
  }
  return rooms
}

function parseSubscribe(item: readonly unknown[]): SubscribeRequest | undefined {
  const [id, room, epoch, offset, data] = item
  if (!isId(id) || !isName(room)) return undefined
  const entering = data === undefined || data === null ? {} : { data }
  if (epoch === undefined || epoch === null) return { id, room, ...entering }
  if (typeof epoch !== 'string' || epoch.length > 64 || !isId(offset)) return undefined
  return { id, room, position: { epoch, offset }, ...entering }
}

function isId(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= MAX_NAME
}
