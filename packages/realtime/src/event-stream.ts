import { EventEmitter } from 'node:events'
import type { ServerResponse } from 'node:http'
import type { ConnectionSocket, ConnectionStream } from './connection-transport.ts'
import { decodeFrames } from './frame.ts'
import { CLOSE } from './protocol.ts'

// Frames that came before the one they follow; more than this were lost on the way.
const MAX_EARLY = 64

interface Sent {
  readonly text: string
  readonly code: number | undefined
}

/**
 * A connection over plain HTTP: frames go out as server-sent events, and come in as numbered requests, which
 * may reach any node and are put into order here.
 */
export class EventStream extends EventEmitter implements ConnectionSocket, ConnectionStream {
  readonly OPEN = 1
  readonly extensions = ''
  readyState = 1
  readonly id: string
  readonly ticket: string
  readonly #response: ServerResponse
  readonly #early = new Map<number, Sent>()
  #next = 1
  #code: number = CLOSE.abnormal

  constructor(id: string, ticket: string, response: ServerResponse) {
    super()
    this.id = id
    this.ticket = ticket
    this.#response = response
    response.on('drain', () => this.emit('drain'))
    response.on('error', () => {})
    response.on('close', () => {
      this.readyState = 3
      this.emit('close', this.#code)
    })
    response.write(`event: open\ndata: ${ticket}\n\n`)
  }

  get writableLength(): number {
    return this.#response.writableLength
  }

  get writableNeedDrain(): boolean {
    return this.#response.writableNeedDrain
  }

  write(frame: Buffer): void {
    for (const text of decodeFrames(frame)) {
      this.#response.write(`data: ${text.replaceAll('\n', '\ndata: ')}\n\n`)
    }
  }

  /** Takes what the client sent under a number; what was taken before is left out. */
  take(sequence: number, sent: Sent): void {
    if (sequence < this.#next || this.readyState !== this.OPEN) return
    this.#early.set(sequence, sent)
    if (this.#early.size > MAX_EARLY) {
      this.close(CLOSE.stateLost, 'a frame is missing')
      return
    }
    for (let next = this.#early.get(this.#next); next; next = this.#early.get(this.#next)) {
      this.#early.delete(this.#next++)
      if (next.text !== '') this.emit('message', Buffer.from(next.text), false)
      if (next.code !== undefined) {
        this.#code = next.code
        this.terminate()
        return
      }
    }
  }

  close(code: number, reason: string): void {
    if (this.readyState !== this.OPEN) return
    this.readyState = 2
    this.#code = code
    this.#response.end(`event: close\ndata: ${JSON.stringify([code, reason])}\n\n`)
  }

  terminate(): void {
    this.readyState = 2
    this.#response.destroy()
  }
}
