import { CaysError, type CaysErrorOptions, type ErrorTable } from '@cays/core/error'

/** Every code of this package; `docs/errors.md` is generated from it. */
export const REALTIME_ERRORS = {
  REALTIME_ERR_INVALID_OPTION: {
    meaning: 'An option is unknown, missing or out of range. Correct it; nothing was started.',
    retryable: false,
  },
  REALTIME_ERR_CLOSED: {
    meaning: 'The instance was closed. Create a new one.',
    retryable: false,
  },
  REALTIME_ERR_UNKNOWN_ROOM: {
    meaning: 'No pattern of the contract or of `authorize` fits the room. Declare the pattern first.',
    retryable: false,
  },
  REALTIME_ERR_UNKNOWN_EVENT: {
    meaning: "The room's contract has no such event. Declare it in the contract.",
    retryable: false,
  },
  REALTIME_ERR_UNKNOWN_METHOD: {
    meaning: 'The contract has no such method, or it was registered twice.',
    retryable: false,
  },
  REALTIME_ERR_INVALID_DATA: {
    meaning: "The data does not fit the contract's schema, or is not JSON. Correct it before publishing.",
    retryable: false,
  },
  REALTIME_ERR_TOO_LARGE: {
    meaning: 'The message, room name or idempotency key is over its limit. Send less, or raise the limit.',
    retryable: false,
  },
  REALTIME_ERR_FORBIDDEN: {
    meaning: "The room's rule in `authorize` does not allow it. Grant it there, if it should be allowed.",
    retryable: false,
  },
  REALTIME_ERR_UNAVAILABLE: {
    meaning:
      'Redis did not answer in time; the publish may or may not have been stored. Repeat it with the same idempotencyKey: it is stored at most once.',
    retryable: true,
  },
  REALTIME_ERR_OVERLOADED: {
    meaning: 'Too many publishes wait for Redis in this process. Slow down and try again.',
    retryable: true,
  },
  REALTIME_ERR_REFUSED: {
    meaning:
      'Redis refused the command (permissions, memory, wrong type, read-only). See `cause` and correct the server.',
    retryable: false,
  },
  REALTIME_ERR_DISCONNECTED: {
    meaning:
      'The connection was lost while a call was under way; whether it was carried out is unknown. Call again when that is safe.',
    retryable: true,
  },
  REALTIME_ERR_TIMEOUT: {
    meaning:
      'The server did not answer in time. Try again; a publish with the same idempotencyKey is stored once.',
    retryable: true,
  },
  REALTIME_ERR_QUEUE_FULL: {
    meaning:
      'Too many publishes wait for the connection to come back. Try again later, or raise `queue.size`.',
    retryable: true,
  },
  REALTIME_ERR_STOPPED: {
    meaning:
      'The server ended the connection for good (see `closeCode`): sign in again, then create a new client.',
    retryable: false,
  },
  REALTIME_ERR_REMOTE: {
    meaning: "The server answered with an error: see `remoteCode`, and `retryable` for the server's advice.",
    retryable: false,
  },
  REALTIME_ERR_NO_WEBSOCKET: {
    meaning: 'The platform has no WebSocket (Node 20). Pass one: `createClient({ WebSocket })` from `ws`.',
    retryable: false,
  },
} as const satisfies ErrorTable

/** A code this package throws; see `docs/errors.md`. */
export type RealtimeErrorCode = keyof typeof REALTIME_ERRORS

/** Thrown by the server half of this package; branch on `code`. */
export class RealtimeError extends CaysError<RealtimeErrorCode> {
  static override readonly id: string = 'realtime.RealtimeError'

  constructor(code: RealtimeErrorCode, message: string, options: CaysErrorOptions = {}) {
    super(code, message, { retryable: REALTIME_ERRORS[code].retryable, ...options })
  }
}
