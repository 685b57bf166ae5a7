import { afterEach, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { EventStreamSocket, webSocketOrEventStream } from '../../src/client/sse.ts'
import { createClient, type WebSocketConstructor } from '../../src/client.ts'
import { type NodeOptions, startLocalNode } from '../support/local-node.ts'

const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

async function start(options: NodeOptions = {}) {
  const node = await startLocalNode(options)
  closers.push(() => node.close())
  return { ...node, http: node.url.replace('ws:', 'http:') }
}

const post = (url: string, body: string, headers: Record<string, string> = {}) =>
  fetch(url, { method: 'POST', body, headers })

describe('an event stream', () => {
  it('carries rooms, calls, publishes, presence and the end', async () => {
    const node = await start()
    node.realtime.rpc('double' as never, ((n: number) => n * 2) as never)
    const client = createClient({ url: node.url, getToken: () => 'ann', WebSocket: EventStreamSocket })
    const told: unknown[] = []
    const room = client.room('lobby')
    room.on('chat', (data) => told.push(data))
    await expect(client.call('double', 21)).resolves.toBe(42)
    await expect(room.publish('chat', 'line one\nline two')).resolves.toMatchObject({ offset: 1 })
    await expect.poll(() => told).toEqual(['line one\nline two'])
    await client.presence('job:{id}', { id: 1 }).enter('here')
    const members = () => node.realtime.presence('job:{id}', { id: 1 } as never)
    expect(await members()).toEqual([{ userId: 'ann', data: 'here' }])
    await client.close()
    // Goodbye was said: no grace.
    await expect.poll(members).toEqual([])
  })

  it('is what a client falls back to when WebSockets do not get through', async () => {
    const node = await start()
    class Blocked extends WebSocket {
      constructor(_url: string, protocols?: string | string[]) {
        super('ws://127.0.0.1:1', protocols)
      }
    }
    const connect = async (Socket: WebSocketConstructor) => {
      const client = createClient({
        url: node.url,
        getToken: () => 'ann',
        WebSocket: webSocketOrEventStream(Socket),
        backoff: { base: 10, cap: 50 },
      })
      closers.push(() => client.close())
      await client.connect()
    }
    await connect(WebSocket as WebSocketConstructor)
    expect(node.requests()).toBe(0)
    await connect(Blocked as WebSocketConstructor)
    expect(node.requests()).toBeGreaterThan(0)
  })

  it('is for allowed origins, POST and small bodies alone', async () => {
    const { http } = await start({ origins: ['https://app.example'], limits: { payload: 1_024 } })
    expect((await post(http, '["hello",1,"ann",null,[]]', { origin: 'https://evil.example' })).status).toBe(
      403,
    )
    expect((await fetch(http)).status).toBe(405)
    expect((await post(http, 'x'.repeat(5_000))).status).toBe(413)
    const allowed = await post(http, '["hello",1,"",null,[]]', { origin: 'https://app.example' })
    expect(allowed.headers.get('access-control-allow-origin')).toBe('https://app.example')
    expect(await allowed.text()).toMatch(/event: close\ndata: \[4501,"unauthorized"\]/)
  })

  it('takes what comes with its ticket, and from nobody else', async () => {
    const node = await start()
    const response = await post(node.http, '["hello",1,"ann",null,[[2,"lobby"]]]')
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
    closers.push(() => reader?.cancel())
    let text = ''
    while (!text.includes('subscribed')) text += (await reader?.read())?.value ?? ''
    const ticket = /event: open\ndata: (\S+)/.exec(text)?.[1] ?? ''
    const [name, id] = ticket.split('.')
    const send = async (claimed: string, sequence: unknown) =>
      (await post(node.http, `${JSON.stringify(['send', claimed, sequence])}\n["pub",3,"lobby","chat","x"]`))
        .status
    expect(await send(`${name}.${id}.${'A'.repeat(43)}`, 2)).toBe(403)
    expect(await send(`${name}.other.${'A'.repeat(43)}`, 2)).toBe(403)
    expect(await send(ticket, -1)).toBe(400)
    expect(await send(ticket, 'x')).toBe(400)
    // The third before the second, and the second twice.
    for (const sequence of [3, 2, 2]) expect(await send(ticket, sequence)).toBe(204)
    while (!text.includes('"offset":2')) text += (await reader?.read())?.value ?? ''
    expect(await node.realtime.room('lobby').position()).toMatchObject({ offset: 2 })
  })
})
