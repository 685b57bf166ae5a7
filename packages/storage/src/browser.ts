import { MULTIPART_ABOVE, partSizeFor } from './part-plan.ts'
import type { UploadPart, UploadTicket } from './upload-types.ts'

export type { UploadPart, UploadTicket } from './upload-types.ts'

/** What the server is told of a file before it is sent. */
export interface FileFacts {
  readonly name: string
  readonly size: number
  readonly type: string
  /** Absent on pages without HTTPS, where browsers do not hash. */
  readonly sha256?: string
  readonly partSha256?: readonly string[]
}

/** How the browser talks to the server of the app; `uploadEndpoint` does it with the Express routes. */
export interface UploadServer<Result> {
  /** Throws `UploadRefused` when the file is not wanted. */
  issue(file: FileFacts, signal: AbortSignal): Promise<UploadTicket>
  /** New URLs for an interrupted upload; `undefined` or absent: start again. */
  resume?(
    request: { readonly token: string; readonly partSha256?: readonly string[] },
    signal: AbortSignal,
  ): Promise<UploadTicket | undefined>
  /** What the upload ends with; absent: with the token, for a request of the app's own. */
  complete?(token: string, signal: AbortSignal): Promise<Result>
  /** Tells the server that the file will not come, so that its parts are thrown away at once. */
  abort?(token: string): Promise<unknown>
}

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

/** The server or the bucket does not want the file: the same again is of no use. */
export class UploadRefused extends Error {
  readonly reason: string

  constructor(reason: string, detail: string) {
    super(detail)
    this.name = 'UploadRefused'
    this.reason = reason
  }
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
      put(part, body, signal, (loaded) => {
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

/** The routes of `expressUploads` for one kind of upload, e.g. `/uploads/resume`. */
export function uploadEndpoint<Result = unknown>(url: string, init: RequestInit = {}): UploadServer<Result> {
  const ask = async (step: string, body: object, signal?: AbortSignal) => {
    const headers = { ...(init.headers as Record<string, string>), 'content-type': 'application/json' }
    const request = {
      ...init,
      method: 'POST',
      headers,
      body: JSON.stringify(body),
      ...(signal ? { signal } : {}),
    }
    const answer = await fetch(`${url}/${step}`, request)
    const json = await answer.json().catch(() => undefined)
    if (answer.ok && json) return json
    if (answer.status >= 500 || answer.status === 429) throw new Error(`the server answered ${answer.status}`)
    throw new UploadRefused(
      json?.reason ?? String(answer.status),
      json?.detail ?? 'The server refused the file.',
    )
  }
  return {
    issue: async (file, signal) => (await ask('issue', file, signal)).ticket,
    resume: async (request, signal) => (await ask('resume', request, signal)).ticket,
    complete: async (token, signal) => (await ask('complete', { token }, signal)).result,
    abort: (token) => ask('abort', { token }),
  }
}

async function factsOf(file: File, signal: AbortSignal): Promise<FileFacts> {
  const facts = { name: file.name.slice(0, 200), size: file.size, type: file.type }
  if (!globalThis.crypto?.subtle) return facts
  if (file.size <= MULTIPART_ABOVE) return { ...facts, sha256: await sha256(file) }
  const partSha256: string[] = []
  const partSize = partSizeFor(file.size)
  for (let start = 0; start < file.size; start += partSize) {
    signal.throwIfAborted()
    partSha256.push(await sha256(file.slice(start, start + partSize)))
  }
  return { ...facts, partSha256 }
}

async function sha256(blob: Blob): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', await blob.arrayBuffer()))
  return btoa(String.fromCharCode(...digest))
}

function put(
  { url, headers }: UploadPart,
  body: Blob,
  signal: AbortSignal,
  onProgress: (sent: number) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    // fetch cannot tell how much of a body has left.
    const request = new XMLHttpRequest()
    const abort = () => request.abort()
    request.open('PUT', url)
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value)
    request.upload.onprogress = (event) => onProgress(event.loaded)
    request.onloadend = () => {
      signal.removeEventListener('abort', abort)
      const { status } = request
      // 412: the key is written once, and an earlier try of ours did it.
      if ((status >= 200 && status < 300) || status === 412) resolve()
      else if (status === 0 || status >= 500 || status === 429) reject(new Error('the connection broke'))
      else reject(new UploadRefused('bucket', 'The store did not take the file.'))
    }
    signal.addEventListener('abort', abort)
    if (signal.aborted) reject(signal.reason)
    else request.send(body)
  })
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
