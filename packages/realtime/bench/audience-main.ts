/** The process of the sockets, so that the process measured is the server's alone. */
import { openWire } from './wire.ts'

const [dialect = '', url = '', sockets = '0'] = process.argv.slice(2)
/** How many connections are being opened at once. */
const OPENING = 50
/** What a message is stamped with, in milliseconds. */
const STAMP = Buffer.from('"sent":')
const LINE = 0x0a

let delivered = 0
let expected = Number.POSITIVE_INFINITY
/** How many messages took so many milliseconds. */
let delays: number[] = []

function count(messages: number): void {
  delivered += messages
  if (delivered < expected) return
  expected = Number.POSITIVE_INFINITY
  process.send?.({ p50: quantile(0.5), p95: quantile(0.95) })
  delays = []
}

function quantile(share: number): number {
  let left = share * delays.reduce((sum, taken = 0) => sum + taken, 0)
  for (const [delay, taken = 0] of delays.entries()) {
    left -= taken
    if (left < 0) return delay
  }
  return 0
}

// Without parsing: the process of the sockets must keep up.
function clock(text: Buffer): void {
  const now = Date.now()
  for (let at = text.indexOf(STAMP); at !== -1; at = text.indexOf(STAMP, at + 20)) {
    const delay = now - Number(text.toString('latin1', at + 7, at + 20))
    delays[delay] = (delays[delay] ?? 0) + 1
  }
}

function linesOf(text: Buffer): number {
  let lines = 1
  for (let at = text.indexOf(LINE); at !== -1; at = text.indexOf(LINE, at + 1)) lines++
  return lines
}

/** Opens one socket; calls back when it is in the room. */
const join: Readonly<Record<string, (joined: () => void) => Promise<void>>> = {
  async cays(joined) {
    const say = await openWire(url, 'rt1.json', (text, send) => {
      // What the type begins with tells enough; a frame with messages of a room holds nothing else.
      const type = text.toString('latin1', 2, 4)
      if (type === 'm"') {
        clock(text)
        count(linesOf(text))
      } else if (type === 'pi') send('["pong"]')
      else if (text.includes('["subscribed"')) joined()
    })
    say(JSON.stringify(['hello', 1, 'ann', null, [[2, 'lobby']]]))
  },
  async 'socket.io'(joined) {
    await openWire(url, '', (text, send) => {
      // Engine.IO 4: open, ping, message; Socket.IO 5: connect, event.
      const type = text.toString('latin1', 0, 2)
      if (type === '42') {
        clock(text)
        count(1)
      } else if (type.startsWith('0')) send('40')
      else if (type === '40') joined()
      else if (type === '2') send('3')
    })
  },
}

process.on('message', (message: { readonly expect: number }) => {
  expected = message.expect
  count(0)
})
process.on('disconnect', () => process.exit(0))

const one = join[dialect]
if (!one) throw new Error(`there is no dialect ${dialect}`)
for (let open = 0; open < Number(sockets); open += OPENING) {
  const some = Array.from({ length: Math.min(OPENING, Number(sockets) - open) }, () => {
    return new Promise<void>((joined, failed) => void one(joined).catch(failed))
  })
  await Promise.all(some)
}
process.send?.({})
