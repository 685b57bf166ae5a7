import { readFileSync } from 'node:fs'
import { type StandaloneRedis, startRedis } from '@cays/testkit'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { EventStreamSocket } from '../../src/client/sse.ts'
import { createClient } from '../../src/client.ts'
import { startLocalNode } from '../support/local-node.ts'
import { faultsOf, record } from '../support/recorder.ts'
import { enterRaw, watch } from '../support/watcher.ts'

// What the README promises is what the user may do.
const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')
const paragraph = /^Redis commands used: [\s\S]*?\n\n/m.exec(readme)?.[0] ?? ''
const commands = [...paragraph.matchAll(/`([A-Z]+)`/g)].map((match) => `+${match[1]?.toLowerCase()}`)

let server: StandaloneRedis
beforeAll(async () => {
  server = await startRedis()
})
afterAll(() => server.close())

/** Everything that asks Redis for something, as a user with these rights. */
async function exercise(user: string, ...rules: readonly string[]) {
  await server.acl(user, 'on', '>secret', 'resetkeys', `~${user}:*`, 'resetchannels', `&${user}:*`, ...rules)
  const { hostname: host, port } = new URL(server.url)
  const redis = new Redis({ host, port: Number(port), username: user, password: 'secret', lazyConnect: true })
  const presence = { lease: 300, grace: 0 }
  const nodes = await Promise.all(
    [1, 2].map(() => startLocalNode({ redis, prefix: user, checkInterval: 200, presence })),
  )
  const urls = nodes.map(({ url }) => url)
  const records = urls.map((url) => record(url, 1))
  const observer = watch(urls[0] ?? '', 1)
  const streaming = createClient({
    url: urls[1] ?? '',
    getToken: () => 'ann',
    WebSocket: EventStreamSocket,
  })
  try {
    for (const one of records) await expect.poll(() => one.room.status).toBe('subscribed')
    const room = nodes[0]?.realtime.room('job:{id}', { id: 1 } as never)
    for (let n = 1; n <= 20; n++) {
      await room?.publish('n' as never, n as never)
      if (n === 5) await server.killClients('pubsub')
      if (n === 10) await server.flushScripts()
    }
    for (const one of records) {
      await expect.poll(() => one.numbers.at(-1)).toBe(20)
      expect(faultsOf(one)).toEqual([])
    }
    const raw = await enterRaw(urls[1] ?? '', 1, 'ben')
    await streaming.presence('job:{id}', { id: 1 }).enter('here')
    await expect.poll(observer.users).toEqual(['ann', 'ben'])
    raw.close()
    await expect.poll(observer.users).toEqual(['ann'])
    // A node that ends cleans up after itself.
    await nodes[1]?.realtime.close()
    await expect.poll(observer.users).toEqual([])
    return nodes[0]?.realtime.health()
  } finally {
    await Promise.all([...records, observer, streaming, ...nodes].map((one) => one.close()))
    redis.disconnect()
  }
}

describe('a Redis user', () => {
  it('needs the commands the README lists, and no others', async () => {
    expect(commands.length).toBeGreaterThan(20)
    const health = await exercise('listed', '-@all', ...commands)
    expect(health?.broker).toMatchObject({ commands: 'up', subscriber: 'up', epochGuard: true })
  })

  it('may lack INFO: then all works but the guard against lost tails, which health tells', async () => {
    const health = await exercise('blind', '-@all', ...commands, '-info')
    expect(health?.broker).toMatchObject({ commands: 'up', subscriber: 'up', epochGuard: false })
  })
})
