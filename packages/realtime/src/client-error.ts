import { CaysError } from '@cays/core/error'
import type { RealtimeErrorCode } from './errors.ts'

/** A code the client rejects with; see `docs/errors.md`. */
export type RealtimeClientErrorCode = Extract<
  RealtimeErrorCode,
  | 'REALTIME_ERR_CLOSED'
  | 'REALTIME_ERR_DISCONNECTED'
  | 'REALTIME_ERR_TIMEOUT'
  | 'REALTIME_ERR_QUEUE_FULL'
  | 'REALTIME_ERR_STOPPED'
  | 'REALTIME_ERR_REMOTE'
  | 'REALTIME_ERR_NO_WEBSOCKET'
  | 'REALTIME_ERR_UNKNOWN_ROOM'
>

/** What is known beside the code. */
export interface RealtimeClientErrorDetails {
  readonly retryable?: boolean
  /** The server's own code, with `REALTIME_ERR_REMOTE`: `forbidden`, `invalid_data`, or one of the app. */
  readonly remoteCode?: string
  /** Why the server ended the connection, with `REALTIME_ERR_STOPPED`. */
  readonly closeCode?: number
}

/** What the client rejects with; branch on `code`. */
export class RealtimeClientError extends CaysError<RealtimeClientErrorCode> {
  static override readonly id: string = 'realtime.RealtimeClientError'
  readonly remoteCode: string | undefined
  readonly closeCode: number | undefined

  constructor(code: RealtimeClientErrorCode, message: string, details: RealtimeClientErrorDetails = {}) {
    super(code, message, { retryable: details.retryable ?? false })
    this.remoteCode = details.remoteCode
    this.closeCode = details.closeCode
  }
}
