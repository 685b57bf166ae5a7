import { CLOSE, SUBPROTOCOL, type Welcome } from './protocol.ts'

/** The part of the WHATWG WebSocket the client uses; the browser's, Node's and that of `ws` fit. */
export interface WebSocketLike {
  readonly readyState: number
  /** Called when it is open. */
  onopen: ((event: never) => void) | null
  /** Called with each frame. */
  onmessage: ((event: never) => void) | null
  /** Called once, with the code and reason of the end. */
  onclose: ((event: never) => void) | null
  /** Called before the end, when it is a failure. */
  onerror: ((event: never) => void) | null
  /** Sends one text frame. */
  send(data: string): void
  /** Begins the closing handshake. */
  close(code?: number, reason?: string): void
}

/** What makes a socket: the platform's `WebSocket`, or that of `ws`. */
export type WebSocketConstructor = new (url: string, protocols?: string | string[]) => WebSocketLike

export interface LinkOptions {
  readonly socket: WebSocketLike
  /** Milliseconds until the server must have welcomed us. */
  readonly timeout: number
  /** The first frame, asked for when the socket is open. */
  readonly hello: () => readonly (readonly unknown[])[]
  readonly message: (link: Link, message: readonly unknown[]) => void
  /** Called once. */
  readonly closed: (link: Link, code: number, reason: string) => void
}

const OPEN = 1

export function openSocket(Socket: WebSocketConstructor, url: string): WebSocketLike {
  return new Socket(url, SUBPROTOCOL)
}

/** One connection: frames in and out, and the heartbeat that finds out when the other side is gone. */
export class Link {
  readonly #options: LinkOptions
  readonly openedAt: number = Date.now()
  welcome: Welcome | undefined
  #closed = false
  #asked = false
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(options: LinkOptions) {
    this.#options = options
    const { socket } = options
    socket.onopen = () => this.send(...options.hello())
    socket.onmessage = (event: { readonly data: unknown }) => this.#received(event.data)
    socket.onerror = () => {}
    socket.onclose = (event: { readonly code: number; readonly reason: string }) =>
      this.#ended(event.code, event.reason)
    this.#wait(options.timeout)
  }

  get open(): boolean {
    return !this.#closed && this.#options.socket.readyState === OPEN
  }

  send(...messages: readonly (readonly unknown[])[]): void {
    if (this.open && messages.length > 0) {
      this.#options.socket.send(messages.map((message) => JSON.stringify(message)).join('\n'))
    }
  }

  /** Asks for a sign of life within `milliseconds`: after sleep, a tab switch or a change of network. */
  probe(milliseconds: number): void {
    this.#asked = true
    this.send(['ping'])
    this.#wait(milliseconds)
  }

  /** Ends the connection; `closed` is called at once, whether the other side answers or not. */
  close(code: number = CLOSE.normal, reason = ''): void {
    // Only 1000 and 3000 to 4999 may be sent.
    this.#options.socket.close(code >= 3_000 ? code : CLOSE.normal, reason)
    this.#ended(code, reason)
  }

  #received(data: unknown): void {
    if (this.#closed) return
    for (const text of String(data).split('\n')) {
      if (this.#closed) return
      let message: unknown
      try {
        message = JSON.parse(text)
      } catch {
        this.close(CLOSE.stateLost, 'bad frame')
        return
      }
      if (!Array.isArray(message)) {
        this.close(CLOSE.stateLost, 'bad frame')
        return
      }
      if (message[0] === 'ping') this.send(['pong'])
      else {
        if (message[0] === 'welcome') this.welcome = message[2] as Welcome
        this.#options.message(this, message)
      }
    }
    this.#asked = false
    if (this.welcome && !this.#closed) this.#wait(this.welcome.ping * 1.25)
  }

  #wait(milliseconds: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#silent(), milliseconds)
  }

  // First silence: ask. Second silence: the other side is gone.
  #silent(): void {
    if (!this.welcome || this.#asked) {
      this.close(CLOSE.silent, 'no answer')
      return
    }
    this.probe(this.welcome.ping * 0.75)
  }

  #ended(code: number, reason: string): void {
    if (this.#closed) return
    this.#closed = true
    clearTimeout(this.#timer)
    this.#options.closed(this, code, reason)
  }
}
