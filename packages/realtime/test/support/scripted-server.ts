import type { WebSocketLike } from '../../src/client.ts'

/** One end of a connection whose server is the test. */
export class ScriptedSocket implements WebSocketLike {
  readyState = 0
  onopen: ((event: never) => void) | null = null
  onmessage: ((event: never) => void) | null = null
  onclose: ((event: never) => void) | null = null
  onerror: ((event: never) => void) | null = null
  readonly protocol: string | string[] | undefined
  /** The messages of the client. */
  readonly sent: unknown[][] = []
  /** How the client ended it. */
  closedWith: number | undefined

  constructor(protocol: string | string[] | undefined) {
    this.protocol = protocol
  }

  send(data: string): void {
    for (const line of data.split('\n')) this.sent.push(JSON.parse(line) as unknown[])
  }

  close(code?: number): void {
    this.readyState = 3
    this.closedWith ??= code
  }

  /** Messages of the server, in one frame. */
  say(...messages: readonly unknown[][]): void {
    this.onmessage?.({ data: messages.map((message) => JSON.stringify(message)).join('\n') } as never)
  }

  end(code: number, reason = ''): void {
    this.readyState = 3
    this.onclose?.({ code, reason } as never)
  }

  /** The newest message of a type that the client sent. */
  last(type: string): unknown[] {
    const found = this.sent.findLast((message) => message[0] === type)
    if (!found) throw new Error(`the client has sent no ${type}`)
    return found
  }

  open(): void {
    this.readyState = 1
    this.onopen?.({} as never)
  }

  /** Opens, lets the client in, and answers each of its rooms. */
  welcome(answer: (room: string, id: number) => unknown[] = subscribed): void {
    this.open()
    const [, id, , , rooms] = this.last('hello')
    const limits = { connection: 'c', node: 'n', ping: 25_000, time: 0, payload: 65_536, rooms: 128 }
    this.say(['welcome', id, limits])
    for (const [ask, room] of rooms as [number, string][]) this.say(answer(room, ask))
  }
}

/** A room without messages, entered anew. */
export function subscribed(room: string, id: number): unknown[] {
  return ['subscribed', id, room, 'e', 0, 0]
}

/** A server that the test plays: every socket a client opens, the newest last. */
export function scriptedServer() {
  const sockets: ScriptedSocket[] = []
  class WebSocket extends ScriptedSocket {
    constructor(_url: string, protocol?: string | string[]) {
      super(protocol)
      sockets.push(this)
    }
  }
  return {
    WebSocket,
    sockets,
    get socket(): ScriptedSocket {
      const newest = sockets.at(-1)
      if (!newest) throw new Error('the client has opened no socket')
      return newest
    },
  }
}
