/** What reads frames from a client and does the closing: a `WebSocket` of `ws`, or an event stream. */
export interface ConnectionSocket {
  readonly readyState: number
  readonly OPEN: number
  /** What was agreed on at the upgrade; empty for nothing. */
  readonly extensions: string
  on(event: 'message', listener: (data: Buffer, binary: boolean) => void): unknown
  on(event: 'error', listener: (error: Error) => void): unknown
  on(event: 'close', listener: (code: number) => void): unknown
  close(code: number, reason: string): void
  terminate(): void
}

/** What carries encoded frames to a client. */
export interface ConnectionStream {
  readonly writableLength: number
  readonly writableNeedDrain: boolean
  write(frame: Buffer): unknown
  once(event: 'drain', listener: () => void): unknown
}
