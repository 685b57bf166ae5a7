/** The process of the sockets, so that the process measured is the server's alone. */
import { once } from 'node:events'
import { WebSocket } from 'ws'

const [dialect = '', url = '', sockets = '0'] = process.argv.slice(2)
/** How many connections are being opened at once. */
const OPENING = 50

// What the sockets do is not measured: they do as little as they can.
const QUICK = { perMessageDeflate: false, skipUTF8Validation: true } as const

let delivered = 0
let expected = Number.POSITIVE_INFINITY
const open: WebSocket[] = []

let delays: number[] = []

function count(messages: number): void {
  delivered += messages
  if (delivered < expected) return
  expected = Number.POSITIVE_INFINITY
  delays.sort((a, b) => a - b)
  const quantile = (share: number) => delays[Math.floor(delays.length * share)] ?? 0
  process.send?.({ p50: quantile(0.5), p95: quantile(0.95) })
  delays = []
}

// Without parsing: the process of the sockets must keep up.
function clock(text: string): void {
  const at = text.lastIndexOf('"sent":')
  if (at !== -1) delays.push(Date.now() - Number.parseInt(text.slice(at + 7, at + 20), 10))
}

/** Opens one socket that is in the room when this resolves. */
const join: Readonly<Record<string, () => Promise<WebSocket>>> = {
  async cays() {
    const socket = new WebSocket(url, 'rt1.json', QUICK)
    await once(socket, 'open')
    socket.send(JSON.stringify(['hello', 1, 'ann', null, [[2, 'lobby']]]))
    await new Promise<void>((resolve, reject) => {
      socket.once('close', (code, reason) => reject(new Error(`closed with ${code} ${reason.toString()}`)))
      socket.on('message', (frame: Buffer) => {
        let messages = 0
        // A frame holds one or more messages, one a line.
        for (const line of frame.toString().split('\n')) {
          if (line.startsWith('["m"')) {
            messages += 1
            clock(line)
          } else if (line.startsWith('["subscribed"')) resolve()
          else if (line.startsWith('["ping"')) socket.send('["pong"]')
        }
        if (messages > 0) count(messages)
      })
    })
    return socket
  },
  async 'socket.io'() {
    const socket = new WebSocket(url, QUICK)
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject)
      socket.on('message', (frame: Buffer) => {
        const text = frame.toString()
        // Engine.IO 4: open, ping, message; Socket.IO 5: connect, event.
        if (text.startsWith('42')) {
          clock(text)
          count(1)
        } else if (text.startsWith('0')) socket.send('40')
        else if (text.startsWith('40')) resolve()
        else if (text === '2') socket.send('3')
      })
    })
    return socket
  },
}

process.on('message', (message: { readonly expect: number }) => {
  expected = message.expect
  count(0)
})
process.on('disconnect', () => process.exit(0))

const one = join[dialect]
if (!one) throw new Error(`there is no dialect ${dialect}`)
while (open.length < Number(sockets)) {
  const missing = Math.min(OPENING, Number(sockets) - open.length)
  open.push(...(await Promise.all(Array.from({ length: missing }, one))))
}
process.send?.({})
