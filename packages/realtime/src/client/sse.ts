import type { WebSocketConstructor, WebSocketLike } from '../client-link.ts'

export type { WebSocketConstructor, WebSocketLike } from '../client-link.ts'

const CONNECTING = 0
const OPEN = 1
const CLOSING = 2
const CLOSED = 3
const ABNORMAL = 1006
const MAX_BATCH = 32_768
const RETRY = 250

/**
 * Speaks the protocol over plain HTTP, where WebSockets do not get through: server-sent events down, POST up.
 * Requests may reach any node, so no sticky sessions are needed. The client gives the same guarantees over it.
 *
 * @example
 * const client = createClient({ url: 'https://app.example/rt', WebSocket: EventStreamSocket })
 */
export class EventStreamSocket implements WebSocketLike {
  readyState: number = CONNECTING
  /** Called when the first frame may be sent. */
  onopen: ((event: never) => void) | null = null
  /** Called with each frame. */
  onmessage: ((event: never) => void) | null = null
  /** Called once, with the code and reason of the end. */
  onclose: ((event: never) => void) | null = null
  /** Called before the end, when it is a failure. */
  onerror: ((event: never) => void) | null = null
  readonly #url: string
  readonly #stream = new AbortController()
  readonly #waiting: string[] = []
  #ticket = ''
  #sequence = 0
  #posting = false
  #farewell: number | undefined

  constructor(url: string) {
    this.#url = url.replace(/^ws/, 'http')
    // As with a socket, the handlers are set first.
    setTimeout(() => {
      if (this.readyState !== CONNECTING) return
      this.readyState = OPEN
      this.onopen?.({} as never)
    })
  }

  /** Sends one text frame; the first one opens the stream. */
  send(data: string): void {
    if (this.readyState !== OPEN) return
    if (this.#sequence === 0) {
      this.#sequence = 1
      void this.#open(data)
    } else {
      this.#waiting.push(data)
      void this.#post()
    }
  }

  /** Ends the stream, and tells the server why. */
  close(code: number = 1000): void {
    if (this.readyState >= CLOSING) return
    this.readyState = CLOSING
    this.#farewell = code
    if (this.#ticket === '') this.#end(code, '')
    else void this.#post()
  }

  async #open(hello: string): Promise<void> {
    try {
      const response = await this.#request(hello, this.#stream.signal)
      if (!response.ok || !response.body) throw new Error(`HTTP ${response.status}`)
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
      let rest = ''
      for (;;) {
        const { done, value } = await reader.read()
        if (done) break
        const events = (rest + value).split('\n\n')
        rest = events.pop() ?? ''
        for (const event of events) this.#event(event)
      }
    } catch {
      this.onerror?.({} as never)
    }
    this.#end(ABNORMAL, '')
  }

  #event(text: string): void {
    let type = 'message'
    const data: string[] = []
    for (const line of text.split('\n')) {
      if (line.startsWith('event: ')) type = line.slice(7)
      else if (line.startsWith('data: ')) data.push(line.slice(6))
    }
    if (type === 'open') {
      this.#ticket = data.join('')
      void this.#post()
    } else if (type === 'close') {
      const [code, reason] = JSON.parse(data.join('')) as [number, string]
      this.#end(code, reason)
    } else if (this.readyState === OPEN) this.onmessage?.({ data: data.join('\n') } as never)
  }

  // One request at a time keeps the order; what comes meanwhile travels in the next one.
  async #post(): Promise<void> {
    if (this.#posting || this.#ticket === '') return
    this.#posting = true
    while (this.#waiting.length > 0 && this.readyState !== CLOSED) {
      let size = 0
      let count = 0
      while (count < this.#waiting.length && count < 64 && (count === 0 || size < MAX_BATCH)) {
        size += this.#waiting[count++]?.length ?? 0
      }
      await this.#deliver([], this.#waiting.splice(0, count))
    }
    this.#posting = false
    const code = this.#farewell
    if (code === undefined || this.readyState === CLOSED) return
    await this.#deliver([code], [])
    this.#end(code, '')
  }

  // Repeated under the same number until some node has it.
  async #deliver(farewell: readonly number[], frames: readonly string[]): Promise<void> {
    const head = JSON.stringify(['send', this.#ticket, ++this.#sequence, ...farewell])
    const body = [head, ...frames].join('\n')
    while (this.readyState !== CLOSED) {
      try {
        const { status } = await this.#request(body, AbortSignal.timeout(10_000))
        if (status < 300) return
        if (status !== 429 && status < 500) {
          this.#end(ABNORMAL, '')
          return
        }
      } catch {
        if (farewell.length > 0) return
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY))
    }
  }

  // Text without own headers: browsers send it to another origin without asking first.
  #request(body: string, signal: AbortSignal): Promise<Response> {
    return fetch(this.#url, { method: 'POST', body, signal, credentials: 'include', cache: 'no-store' })
  }

  #end(code: number, reason: string): void {
    if (this.readyState === CLOSED) return
    this.readyState = CLOSED
    this.#stream.abort()
    this.onclose?.({ code, reason } as never)
  }
}

/**
 * Uses WebSockets, and event streams once a WebSocket could not be opened: for networks whose proxies let only
 * plain HTTP through.
 *
 * @example
 * const client = createClient({ url: 'wss://app.example/rt', WebSocket: webSocketOrEventStream() })
 */
export function webSocketOrEventStream(
  Socket: WebSocketConstructor | undefined = (globalThis as { WebSocket?: WebSocketConstructor }).WebSocket,
): WebSocketConstructor {
  let failed = Socket === undefined
  function Fallback(url: string, protocols?: string | string[]): WebSocketLike {
    if (failed || !Socket) return new EventStreamSocket(url)
    const socket = new Socket(url, protocols)
    let opened = false
    return new Proxy(socket, {
      get(target, name) {
        const value = Reflect.get(target, name) as unknown
        return typeof value === 'function' ? value.bind(target) : value
      },
      set(target, name, listener: (event: never) => void) {
        const wrapped = {
          onopen: (event: never) => {
            opened = true
            listener(event)
          },
          onclose: (event: never) => {
            failed = !opened
            listener(event)
          },
        }[String(name)]
        return Reflect.set(target, name, wrapped ?? listener)
      },
    })
  }
  return Fallback as unknown as WebSocketConstructor
}
