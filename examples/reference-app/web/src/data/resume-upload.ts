import type { UploadTicket } from '@cays/storage'
import type { IssueUpload } from '../../../contract/application.ts'
import { ApiError, call } from './api.ts'

export interface UploadState {
  readonly phase: 'preparing' | 'sending' | 'paused' | 'waiting' | 'sent' | 'failed'
  readonly sent: number
  readonly total: number
  /** Why it failed, in words for the visitor. */
  readonly reason?: string
  /** What to apply with, once it is sent. */
  readonly token?: string
}

const ATTEMPTS = 4

/**
 * Sends one file straight to the bucket: a small one in one request, a large one part by part. A pause keeps
 * the parts that arrived; a small file starts again. A broken connection is tried again by itself.
 */
export class ResumeUpload {
  readonly file: File
  readonly #listeners = new Set<() => void>()
  #state: UploadState
  #ticket: UploadTicket | undefined
  #partsDone = 0
  #running: AbortController | undefined

  constructor(file: File) {
    this.file = file
    this.#state = { phase: 'preparing', sent: 0, total: file.size }
  }

  get state(): UploadState {
    return this.#state
  }

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Starts, or goes on after a pause or a failure. */
  start(): void {
    if (this.#running || this.#state.phase === 'sent') return
    const controller = new AbortController()
    this.#running = controller
    void this.#run(controller.signal).finally(() => {
      if (this.#running === controller) this.#running = undefined
    })
  }

  pause(): void {
    if (!this.#running) return
    this.#running.abort()
    this.#running = undefined
    this.#change({ phase: 'paused', sent: this.#arrived() })
  }

  /** Gives the file up; what was sent of it is dropped by the bucket when the ticket ends. */
  abort(): void {
    this.#running?.abort()
    this.#running = undefined
    this.#listeners.clear()
  }

  async #run(signal: AbortSignal): Promise<void> {
    try {
      if (!this.#ticket || Date.parse(this.#ticket.expiresAt) < Date.now() + 5_000) {
        this.#change({ phase: 'preparing', sent: 0 })
        this.#partsDone = 0
        this.#ticket = await this.#issue(signal)
      }
      const ticket = this.#ticket
      if (ticket.kind === 'put') {
        await this.#send({ url: ticket.url, headers: ticket.headers, body: this.file, before: 0 }, signal)
      } else {
        let before = ticket.parts.slice(0, this.#partsDone).reduce((sum, part) => sum + part.size, 0)
        for (const part of ticket.parts.slice(this.#partsDone)) {
          const body = this.file.slice(before, before + part.size)
          await this.#send({ url: part.url, headers: {}, body, before }, signal)
          before += part.size
          this.#partsDone++
        }
      }
      this.#change({ phase: 'sent', sent: this.file.size, token: ticket.token })
    } catch (error) {
      if (signal.aborted) return
      this.#ticket = error instanceof Refused ? undefined : this.#ticket
      this.#change({ phase: 'failed', sent: this.#arrived(), reason: reasonOf(error) })
    }
  }

  async #issue(signal: AbortSignal): Promise<UploadTicket> {
    const body: IssueUpload = {
      name: this.file.name.slice(0, 200),
      size: this.file.size,
      type: 'application/pdf',
      sha256: await sha256(this.file),
    }
    return await call<UploadTicket>('/uploads', { method: 'POST', body, signal })
  }

  async #send(part: Part, signal: AbortSignal): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      this.#change({ phase: 'sending', sent: part.before })
      try {
        return await put(part, signal, (sent) => this.#change({ phase: 'sending', sent: part.before + sent }))
      } catch (error) {
        if (signal.aborted || error instanceof Refused || attempt === ATTEMPTS) throw error
        this.#change({ phase: 'waiting', sent: part.before })
        await pause(navigator.onLine ? 500 * 2 ** attempt : 60_000, signal)
      }
    }
  }

  #arrived(): number {
    if (this.#ticket?.kind !== 'multipart') return 0
    return this.#ticket.parts.slice(0, this.#partsDone).reduce((sum, part) => sum + part.size, 0)
  }

  #change(change: Omit<UploadState, 'total'>): void {
    this.#state = { ...change, total: this.file.size }
    for (const listener of this.#listeners) listener()
  }
}

interface Part {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Blob
  /** Bytes of the file that come before this part. */
  readonly before: number
}

/** The bucket said no: trying the same again is of no use. */
class Refused extends Error {}

function put(part: Part, signal: AbortSignal, onProgress: (sent: number) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    // fetch cannot tell how much of a body has left.
    const request = new XMLHttpRequest()
    request.open('PUT', part.url)
    for (const [name, value] of Object.entries(part.headers)) request.setRequestHeader(name, value)
    request.upload.onprogress = (event) => onProgress(event.loaded)
    request.onload = () => {
      // 412: the key is written once, and an earlier try of ours did it.
      if ((request.status >= 200 && request.status < 300) || request.status === 412) resolve()
      else if (request.status >= 500 || request.status === 429) reject(new Error('the bucket is busy'))
      else reject(new Refused('the bucket refused the file'))
    }
    request.onerror = () => reject(new Error('the connection broke'))
    request.onabort = () => reject(new Error('aborted'))
    signal.addEventListener('abort', () => request.abort(), { once: true })
    request.send(part.body)
  })
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (act: () => void) => {
      clearTimeout(timer)
      removeEventListener('online', goOn)
      act()
    }
    const goOn = () => end(resolve)
    const timer = setTimeout(goOn, milliseconds)
    addEventListener('online', goOn)
    signal.addEventListener('abort', () => end(() => reject(new Error('aborted'))), { once: true })
  })
}

async function sha256(file: File): Promise<string | undefined> {
  // Only secure pages have it; without it the server still checks size, type and first bytes.
  if (!globalThis.crypto?.subtle) return undefined
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', await file.arrayBuffer()))
  return btoa(String.fromCharCode(...digest))
}

function reasonOf(error: unknown): string {
  if (error instanceof ApiError) return error.message
  if (error instanceof Refused) return 'The store did not take the file. Start again with a fresh upload.'
  return 'The connection broke several times. What has arrived is kept.'
}
