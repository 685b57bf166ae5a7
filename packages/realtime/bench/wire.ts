import { connect } from 'node:net'

/** Sends one text frame. */
export type Send = (text: string) => void

/** Told what a server sent: the text of one frame, valid until the next one comes. */
export type Received = (text: Buffer, send: Send) => void

const NOTHING: Buffer = Buffer.alloc(0)
// All sockets read into one: what is read is looked at before the next one reads.
const shared = Buffer.allocUnsafe(65_536)

/**
 * The client's end of a WebSocket that does as little as one can: the process of a thousand of them must not be
 * what limits the server that is measured. Resolves with what sends a text.
 */
export function openWire(address: string, protocol: string, received: Received): Promise<Send> {
  const { hostname, port, pathname, search } = new URL(address)
  return new Promise((resolve, reject) => {
    let rest: Buffer = NOTHING
    let open = false
    const send: Send = (text) => void socket.write(frameOf(text))
    const socket = connect({
      host: hostname,
      port: Number(port),
      noDelay: true,
      onread: {
        buffer: shared,
        callback(length) {
          const chunk = shared.subarray(0, length)
          let data: Buffer = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
          if (!open) {
            const end = data.indexOf('\r\n\r\n')
            if (end === -1) {
              rest = Buffer.from(data)
              return true
            }
            open = data.toString('latin1', 0, 12) === 'HTTP/1.1 101'
            if (!open) throw new Error('the server refused the upgrade')
            data = data.subarray(end + 4)
            resolve(send)
          }
          data = readFrames(data, (text) => received(text, send))
          rest = data.length === 0 ? NOTHING : Buffer.from(data)
          return true
        },
      },
    })
    socket.once('error', reject)
    socket.write(
      [
        `GET ${pathname}${search} HTTP/1.1`,
        `Host: ${hostname}:${port}`,
        'Connection: Upgrade',
        'Upgrade: websocket',
        'Sec-WebSocket-Version: 13',
        'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
        ...(protocol === '' ? [] : [`Sec-WebSocket-Protocol: ${protocol}`]),
        '\r\n',
      ].join('\r\n'),
    )
  })
}

/** Hands on the text of every whole frame; answers what is left. */
function readFrames(data: Buffer, received: (text: Buffer) => void): Buffer {
  let at = 0
  while (data.length >= at + 2) {
    let length = (data[at + 1] ?? 0) & 0x7f
    let from = at + 2
    if (length === 126) {
      if (data.length < from + 2) break
      length = data.readUInt16BE(from)
      from += 2
    } else if (length === 127) {
      if (data.length < from + 8) break
      length = Number(data.readBigUInt64BE(from))
      from += 8
    }
    if (data.length < from + length) break
    if (data[at] === 0x88) throw new Error('the server closed a socket')
    received(data.subarray(from, from + length))
    at = from + length
  }
  return data.subarray(at)
}

/** A client has to mask what it sends; a mask of zeros leaves the text as it is. */
function frameOf(text: string): Buffer {
  const payload = Buffer.from(text)
  const header = Buffer.alloc(payload.length < 126 ? 6 : 8)
  header[0] = 0x81
  if (payload.length < 126) header[1] = 0x80 | payload.length
  else {
    header[1] = 0x80 | 126
    header.writeUInt16BE(payload.length, 2)
  }
  return Buffer.concat([header, payload])
}
