import { EventEmitter } from 'node:events'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { ClusterSubscriber } from '../../src/cluster-subscriber.ts'
import type { RedisClient } from '../../src/redis-client.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** A cluster whose connections hear what is said in the channels they subscribed, unless they are silently dead. */
function cluster() {
  const connections: Connection[] = []
  class Connection extends EventEmitter {
    readonly status = 'ready'
    readonly isCluster = true
    readonly channels = new Set<string>()
    dead = false
    readonly disconnect = vi.fn()
    duplicate(): Connection {
      const connection = new Connection()
      connections.push(connection)
      return connection
    }
    async ssubscribe(channel: string): Promise<void> {
      this.channels.add(channel)
    }
    async sunsubscribe(channel: string): Promise<void> {
      this.channels.delete(channel)
    }
  }
  const say = async (channel: string, message: string) => {
    for (const connection of connections) {
      if (!connection.dead && connection.channels.has(channel)) connection.emit('smessage', channel, message)
    }
  }
  return { client: new Connection() as unknown as RedisClient, connections, say }
}

it('a silently dead connection to a shard is replaced, and what it missed is asked for', async () => {
  const { client, connections, say } = cluster()
  const told: string[] = []
  const resumed: string[][] = []
  const subscriber = new ClusterSubscriber({
    client,
    heartbeat: 5_000,
    say,
    message: (_, message) => told.push(message),
    resumed: (channels) => resumed.push([...channels]),
  })
  await subscriber.subscribe('rt:{1}:c:a')
  await subscriber.subscribe('rt:{2}:c:b')
  // All is well for a while: nothing is replaced, and its own words reach nobody.
  await vi.advanceTimersByTimeAsync(30_000)
  expect(connections).toHaveLength(1)
  expect(told).toEqual([])
  const [first] = connections
  if (!first) throw new Error('no connection')
  first.dead = true
  await vi.advanceTimersByTimeAsync(10_000)
  expect(first.disconnect).toHaveBeenCalledTimes(1)
  expect(resumed).toEqual([['rt:{1}:c:a', 'rt:{2}:c:b']])
  await say('rt:{1}:c:a', 'hello')
  expect(told).toEqual(['hello'])
  await vi.advanceTimersByTimeAsync(10_000)
  expect(subscriber.up).toBe(true)
  expect(connections).toHaveLength(2)
  subscriber.close()
})

it('a server that takes nothing is not blamed on the subscriber', async () => {
  const { client, connections } = cluster()
  const subscriber = new ClusterSubscriber({
    client,
    heartbeat: 5_000,
    say: () => new Promise(() => {}),
    message: () => {},
    resumed: () => {},
  })
  await subscriber.subscribe('rt:{1}:c:a')
  await vi.advanceTimersByTimeAsync(60_000)
  expect(connections).toHaveLength(1)
  expect(subscriber.up).toBe(true)
  subscriber.close()
})
