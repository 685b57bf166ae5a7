import { type FileFacts, factsOf } from './file-facts.ts'
import { putBlob } from './put-blob.ts'
import { UploadRefused } from './upload-refused.ts'
import type { UploadServer } from './upload-server.ts'
import type { UploadPart, UploadTicket } from './upload-types.ts'

export type { FileFacts } from './file-facts.ts'
export { UploadRefused } from './upload-refused.ts'
export { type UploadServer, uploadEndpoint } from './upload-server.ts'
export type { UploadPart, UploadTicket } from './upload-types.ts'

/** How a file is sent. */
export interface BrowserUploadOptions {
  /** `localStorage`: lets an upload of parts go on after a reload, when the same file is chosen again. */
  readonly memory?: Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>
  /** Parts under way at once. @default 3 */
  readonly concurrency?: number
  /** Tries of one request before the upload fails; it can be started again then. @default 5 */
  readonly attempts?: number
}

/** Where an upload stands. */
export interface UploadState<Result> {
  /** `waiting`: the connection broke and is tried again by itself. */
  readonly phase: 'idle' | 'preparing' | 'sending' | 'waiting' | 'paused' | 'completing' | 'done' | 'failed'
  /** Bytes that have left, and of how many. */
  readonly sent: number
  readonly total: number
  /** Of a `failed` one. */
  readonly error?: unknown
  /** Of a `done` one. */
  readonly token?: string
  readonly result?: Result
}

/**
 * Sends one file straight to the bucket: hashes it, sends it whole or, above 16 MiB, in parts, and completes it.
 * A pause keeps the parts that arrived, and so does a reload with `memory`. Broken connections are tried again.
 *
 * @example
 * const upload = new BrowserUpload(file, uploadEndpoint('/uploads/resume'), { memory: localStorage })
 * upload.subscribe(() => show(upload.state))
 * upload.start()
 */
export class BrowserUpload<Result = unknown> {
  readonly file: File
  readonly #server: UploadServer<Result>
  readonly #options: BrowserUploadOptions
  readonly #listeners = new Set<() => void>()
  readonly #loaded = new Map<number, number>()
  readonly #done = new Set<number>()
  #state: UploadState<Result>
  #ticket: UploadTicket | undefined
  #facts: FileFacts | undefined
  #running: AbortController | undefined

  constructor(file: File, server: UploadServer<Result>, options: BrowserUploadOptions = {}) {
    this.file = file
    this.#server = server
    this.#options = options
    this.#state = { phase: 'idle', sent: 0, total: file.size }
  }

  get state(): UploadState<Result> {
    return this.#state
  }

  /** Calls `listener` after every change of `state`; the answer ends that. */
  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Starts, or goes on after a pause or a failure. */
  start(): void {
    if (this.#running || this.#state.phase === 'done') return
    const running = new AbortController()
    this.#running = running
    this.#run(running.signal)
      .catch((error: unknown) => {
        if (running.signal.aborted) return
        if (error instanceof UploadRefused) this.#forget()
        this.#change('failed', { error })
      })
      .finally(() => {
        if (this.#running === running) this.#running = undefined
        // What is left of a failed one must not go on behind its back.
        running.abort()
      })
  }

  /** Stops sending; `start` goes on. */
  pause(): void {
    if (!this.#running) return
    this.#stop()
    this.#change('paused')
  }

  /** Gives the file up; the bucket drops what has arrived. */
  abort(): void {
    const token = this.#ticket?.token
    this.#stop()
    this.#forget()
    this.#listeners.clear()
    if (token) void this.#server.abort?.(token).catch(() => {})
  }

  async #run(signal: AbortSignal): Promise<void> {
    this.#change('preparing')
    this.#facts ??= await factsOf(this.file, signal)
    const ticket = await this.#prepare(this.#facts, signal)
    this.#change('sending')
    if (ticket.kind === 'put')
      await this.#send({ ...ticket, size: this.file.size, sent: false }, 0, this.file, signal)
    else await this.#sendParts(ticket.partSize, ticket.parts, signal)
    this.#change('completing')
    const result = await this.#retry(signal, async () => this.#server.complete?.(ticket.token, signal))
    this.#keep(undefined)
    this.#change('done', { token: ticket.token, ...(result === undefined ? {} : { result }) })
  }

  async #prepare(facts: FileFacts, signal: AbortSignal): Promise<UploadTicket> {
    const { partSha256 } = facts
    const token = this.#ticket?.token ?? this.#options.memory?.getItem(this.#key(facts)) ?? undefined
    const fresh = this.#ticket && Date.parse(this.#ticket.expiresAt) > Date.now() + 30_000
    if (this.#ticket && fresh) return this.#ticket
    this.#ticket = undefined
    if (token && this.#server.resume) {
      const request = { token, ...(partSha256 ? { partSha256 } : {}) }
      this.#ticket = await this.#retry(signal, async () => this.#server.resume?.(request, signal)).catch(
        (error: unknown) => {
          // Over, or not ours any more: a new one will do.
          if (!(error instanceof UploadRefused)) throw error
          return undefined
        },
      )
    }
    this.#done.clear()
    this.#ticket ??= await this.#retry(signal, () => this.#server.issue(facts, signal))
    const ticket = this.#ticket
    if (ticket.kind === 'multipart') {
      for (const [index, part] of ticket.parts.entries()) if (part.sent) this.#finish(index, part.size)
      this.#keep(ticket.token)
    }
    return ticket
  }

  async #sendParts(partSize: number, parts: readonly UploadPart[], signal: AbortSignal): Promise<void> {
    const left = [...parts.entries()].filter(([index]) => !this.#done.has(index))
    const work = async () => {
      for (let next = left.shift(); next; next = left.shift()) {
        const [index, part] = next
        const start = index * partSize
        await this.#send(part, index, this.file.slice(start, start + part.size), signal)
      }
    }
    await Promise.all(Array.from({ length: this.#options.concurrency ?? 3 }, work))
  }

  async #send(part: UploadPart, index: number, body: Blob, signal: AbortSignal): Promise<void> {
    await this.#retry(signal, () =>
      putBlob(part, body, signal, (loaded) => {
        this.#loaded.set(index, loaded)
        this.#change('sending')
      }),
    ).catch((error: unknown) => {
      this.#loaded.delete(index)
      throw error
    })
    this.#finish(index, part.size)
  }

  /** Tries again what broke; not what was refused. */
  async #retry<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const { phase } = this.#state
    for (let attempt = 1; ; attempt++) {
      try {
        return await work()
      } catch (error) {
        const last = attempt >= (this.#options.attempts ?? 5)
        if (signal.aborted || error instanceof UploadRefused || last) throw error
        this.#change('waiting')
        await pause(navigator.onLine ? Math.random() * 500 * 2 ** attempt : 60_000, signal)
        this.#change(phase)
      }
    }
  }

  #finish(index: number, size: number): void {
    this.#done.add(index)
    this.#loaded.set(index, size)
    this.#change(this.#state.phase)
  }

  #stop(): void {
    this.#running?.abort()
    this.#running = undefined
    for (const index of this.#loaded.keys()) if (!this.#done.has(index)) this.#loaded.delete(index)
  }

  #forget(): void {
    this.#keep(undefined)
    this.#ticket = undefined
    this.#done.clear()
    this.#loaded.clear()
  }

  #key({ name, size, sha256, partSha256 }: FileFacts): string {
    return `cays-upload:${[name, size, this.file.lastModified, sha256, partSha256?.[0], partSha256?.at(-1)].join()}`
  }

  #keep(token: string | undefined): void {
    const { memory } = this.#options
    if (!memory || !this.#facts) return
    const key = this.#key(this.#facts)
    try {
      if (token) memory.setItem(key, token)
      else memory.removeItem(key)
    } catch {
      // Full or forbidden: the upload goes on, a reload starts it again.
    }
  }

  #change(phase: UploadState<Result>['phase'], more: Partial<UploadState<Result>> = {}): void {
    let sent = 0
    for (const loaded of this.#loaded.values()) sent += loaded
    this.#state = { phase, sent: Math.min(sent, this.file.size), total: this.file.size, ...more }
    for (const listener of this.#listeners) listener()
  }
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer)
      removeEventListener('online', end)
      signal.removeEventListener('abort', end)
      if (signal.aborted) reject(signal.reason)
      else resolve()
    }
    const timer = setTimeout(end, milliseconds)
    addEventListener('online', end)
    signal.addEventListener('abort', end)
  })
}
