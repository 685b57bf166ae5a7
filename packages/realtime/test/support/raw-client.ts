import { once } from 'node:events'
import { WebSocket } from 'ws'
import { type Position, SUBPROTOCOL } from '../../src/protocol.ts'

/** A socket that speaks the protocol by hand. */
export async function openRaw(url: string, options: { readonly origin?: string } = {}) {
  const socket = new WebSocket(url, SUBPROTOCOL, options)
  const messages: unknown[][] = []
  socket.on('message', (data) => {
    for (const text of data.toString().split('\n')) messages.push(JSON.parse(text) as unknown[])
  })
  const closed = new Promise<{ readonly code: number; readonly reason: string }>((resolve) => {
    socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() }))
  })
  await once(socket, 'open')
  return {
    socket,
    messages,
    closed,
    send: (...sent: readonly unknown[][]) =>
      socket.send(sent.map((message) => JSON.stringify(message)).join('\n')),
    close: () => socket.terminate(),
  }
}

/** Joins one room from a position, and writes down the numbers of its `n` events. */
export async function rawSubscribe(url: string, room: string, position: Position | undefined) {
  const raw = await openRaw(url)
  raw.send(['hello', 1, 'ann', null, [[2, room, position?.epoch, position?.offset]]])
  const answer = () => raw.messages.find(([type]) => type === 'subscribed' || type === 'err')
  while (!answer()) await new Promise((resolve) => setTimeout(resolve, 5))
  return {
    ...raw,
    recovered: answer()?.[5],
    get numbers() {
      return raw.messages
        .filter(([type, , , event]) => type === 'm' && event === 'n')
        .map((message) => message[4])
    },
  }
}

export function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, index) => from + index)
}
