import { afterEach, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { createClient } from '../../src/client.ts'
import { faultyNetwork, sequenceFaults, type WebSocketConstructor } from '../../src/testing.ts'
import { startLocalNode } from '../support/local-node.ts'

const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

describe('a faulty network', () => {
  it('cuts, slows down and stops, and what a client sees is still complete', async () => {
    const node = await startLocalNode()
    const network = faultyNetwork(WebSocket as WebSocketConstructor)
    const client = createClient({
      url: node.url,
      getToken: () => 'ann',
      WebSocket: network.WebSocket,
      backoff: { base: 10, cap: 50 },
    })
    closers.push(
      () => node.close(),
      () => client.close(),
    )
    const numbers: number[] = []
    const room = client.room('job:{id}', { id: 1 })
    room.on('n', (n) => numbers.push(n as number))
    await expect.poll(() => room.status).toBe('subscribed')
    const publish = async (from: number, to: number) => {
      const target = node.realtime.room('job:{id}', { id: 1 } as never)
      for (let n = from; n <= to; n++) await target.publish('n' as never, n as never)
    }
    await publish(1, 5)
    expect(network.cut()).toBe(1)
    await publish(6, 10)
    await expect.poll(() => numbers.length).toBe(10)
    network.lag(50)
    await publish(11, 15)
    network.lag(0)
    await publish(16, 20)
    await expect.poll(() => numbers.length).toBe(20)
    network.down()
    expect(network.connections).toBe(0)
    await publish(21, 25)
    expect(client.status).not.toBe('connected')
    network.up()
    await expect.poll(() => numbers.length).toBe(25)
    expect(sequenceFaults({ numbers })).toEqual([])
  })
})

describe('the sequence check', () => {
  it('finds what is missing, doubled or out of order where no gap was announced', () => {
    expect(sequenceFaults({ numbers: [4, 5, 6] })).toEqual([])
    expect(sequenceFaults({ numbers: [1, 3, 3, 2] })).toEqual([
      '3 follows 1 at 1',
      '3 follows 3 at 2',
      '2 follows 3 at 3',
    ])
    expect(sequenceFaults({ numbers: [1, 5, 6], gaps: [{ after: 1 }] })).toEqual([])
    expect(sequenceFaults({ numbers: [5, 2], gaps: [{ after: 1 }] })).toHaveLength(1)
  })
})
