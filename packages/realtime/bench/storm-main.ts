/** The process of clients that lose their server at once, and come to another one at once, each with its position. */
import { once } from 'node:events'
import { WebSocket } from 'ws'

/** Opens connections to a server, so many together. */
interface Come {
  readonly url: string
  readonly together: number
}

/** Asks to be told when everybody has this offset. */
interface Reach {
  readonly offset: number
}

interface Place {
  readonly room: string
  readonly user: string
  epoch: string
  offset: number
}

const [sockets = 0, rooms = 1, run = 0] = process.argv.slice(2).map(Number)
const places = Array.from({ length: sockets }, (_, n): Place => {
  return { room: `job:${run}-${n % rooms}`, user: `user${n}`, epoch: '', offset: 0 }
})
let target = Number.POSITIVE_INFINITY
let gaps = 0

function check(): void {
  if (places.some(({ offset }) => offset < target)) return
  target = Number.POSITIVE_INFINITY
  process.send?.({ gaps })
}

function take(place: Place, message: readonly unknown[]): void {
  const [type, , third, fourth, fifth, recovered] = message
  if (type === 'm') place.offset = Number(third)
  else if (type === 'epoch') place.epoch = String(third)
  else if (type === 'gap' || type === 'subscribed') {
    place.epoch = String(fourth)
    place.offset = Number(fifth)
    if (type === 'gap' || Number(recovered) > 1) gaps++
  } else return
  if (place.offset >= target) check()
}

async function come(url: string, place: Place): Promise<void> {
  const socket = new WebSocket(url, 'rt1.json')
  socket.on('error', () => {})
  await once(socket, 'open')
  const position = place.epoch === '' ? [] : [place.epoch, place.offset]
  socket.send(JSON.stringify(['hello', 1, place.user, null, [[2, place.room, ...position]]]))
  await new Promise<void>((resolve) => {
    socket.on('message', (frame: Buffer) => {
      for (const line of frame.toString().split('\n')) {
        const message = JSON.parse(line) as readonly unknown[]
        take(place, message)
        if (message[0] === 'subscribed') resolve()
      }
    })
  })
}

process.on('message', async (order: Come | Reach) => {
  if ('offset' in order) {
    target = order.offset
    check()
    return
  }
  for (let from = 0; from < places.length; from += order.together) {
    const some = places.slice(from, from + order.together)
    await Promise.all(some.map((place) => come(order.url, place)))
  }
  process.send?.({ gaps })
})
process.on('disconnect', () => process.exit(0))
