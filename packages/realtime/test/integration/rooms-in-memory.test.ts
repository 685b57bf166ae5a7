import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { createClient } from '../../src/client.ts'
import { createRealtime } from '../../src/index.ts'

const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

async function node() {
  const realtime = createRealtime({
    origins: 'any',
    authenticate: ({ token }) => (token ? { userId: token } : null),
    authorize: { 'job:{id}': true, lobby: () => ({ publish: ['chat'] }), secret: () => false },
  })
  const server: Server = createServer()
  realtime.attach(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}/rt`
  closers.push(async () => {
    await realtime.close()
    await new Promise((resolve) => server.close(resolve))
  })
  const client = (token = 'ann') => {
    const made = createClient({ url, getToken: () => token, WebSocket })
    closers.push(() => made.close())
    return made
  }
  return { realtime, server, client, url }
}

describe('rooms in one process', () => {
  it('delivers what is published to those in the room, in order', async () => {
    const { realtime, client } = await node()
    const room = client().room('job:{id}', { id: 7 })
    const got: unknown[] = []
    room.on('updated', (data) => got.push(data))
    await expect.poll(() => room.status).toBe('subscribed')
    for (let n = 1; n <= 5; n++) await realtime.room('job:{id}', { id: 7 }).publish('updated', { n })
    await expect.poll(() => got).toEqual([1, 2, 3, 4, 5].map((n) => ({ n })))
  })

  it('lets a client publish what its grant names and nothing else', async () => {
    const { client } = await node()
    const [a, b] = [client('ann').room('lobby'), client('ben').room('lobby')]
    const got: unknown[] = []
    b.on('chat', (data) => got.push(data))
    await expect.poll(() => b.status).toBe('subscribed')
    await expect(a.publish('chat', 'hello')).resolves.toMatchObject({ offset: 1 })
    await expect.poll(() => got).toEqual(['hello'])
    await expect(a.publish('shout', 'x')).rejects.toMatchObject({ remoteCode: 'forbidden' })
    const secret = client('ann').room('secret')
    await expect.poll(() => secret.status).toBe('denied')
  })

  it('answers calls, messages a user and disconnects them', async () => {
    const { realtime, client } = await node()
    realtime.rpc('sum', (input, { who }) => ({
      who: who.userId,
      sum: (input as number[]).reduce((a, b) => a + b),
    }))
    const ann = client('ann')
    await expect(ann.call('sum', [1, 2, 3])).resolves.toEqual({ who: 'ann', sum: 6 })
    const notices: unknown[] = []
    const user = ann.user()
    user.on('notice', (data) => notices.push(data))
    await expect.poll(() => user.status).toBe('subscribed')
    await realtime.user('ann').publish('notice', 'hi')
    await expect.poll(() => notices).toEqual(['hi'])
    await realtime.user('ann').disconnect({ reason: 'revoked' })
    await expect.poll(() => ann.status).toBe('stopped')
    expect(ann.error).toMatchObject({ code: 'REALTIME_ERR_STOPPED', closeCode: 4503, message: 'revoked' })
  })

  it('stops a client whose token is refused', async () => {
    const { client } = await node()
    const nobody = client('')
    await expect(nobody.connect()).rejects.toMatchObject({ closeCode: 4501 })
  })

  it('serves two nodes on two paths of one HTTP server, each its own', async () => {
    const { realtime, server, url, client } = await node()
    const second = createRealtime({
      origins: 'any',
      authenticate: ({ token }) => (token ? { userId: token } : null),
      authorize: { lobby: true },
    })
    closers.push(() => second.close())
    second.attach(server, { path: '/second' })
    const other = createClient({ url: url.replace('/rt', '/second'), getToken: () => 'ben', WebSocket })
    closers.push(() => other.close())
    const rooms = [client().room('lobby'), other.room('lobby')]
    const got: unknown[] = []
    for (const [at, room] of rooms.entries()) {
      room.on('chat', (data) => got.push([at, data]))
      await expect.poll(() => room.status).toBe('subscribed')
    }
    await realtime.room('lobby').publish('chat', 'one')
    await expect.poll(() => got).toEqual([[0, 'one']])
    await second.room('lobby').publish('chat', 'two')
    await expect
      .poll(() => got)
      .toEqual([
        [0, 'one'],
        [1, 'two'],
      ])
  })
})
