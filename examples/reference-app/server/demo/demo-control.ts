import { timingSafeEqual } from 'node:crypto'
import { createServer } from 'node:http'
import type { StandaloneRedis, startPostgres } from '@cays/testkit'
import { type DemoAction, type DemoActionName, demoActionSchema } from '../../contract/status.ts'
import type { NodeProcess } from './node-process.ts'

/** What the visitor may break. */
export interface DemoParts {
  readonly postgres: Awaited<ReturnType<typeof startPostgres>>
  readonly redis: StandaloneRedis | undefined
  readonly nodes: readonly NodeProcess[]
}

/** Takes the nodes' orders to break and to heal; loopback only, for holders of the stack's secret. */
export interface DemoControl {
  readonly url: string
  connect(parts: DemoParts): void
  close(): Promise<void>
}

interface Deed extends Omit<DemoAction, 'name' | 'active'> {
  readonly active: (parts: DemoParts) => boolean
  readonly run: (parts: DemoParts) => Promise<void>
}

/** Nothing stays broken longer than this: the next visitor finds a system that works. */
const HEAL_AFTER = 60_000
const LAG = '3s'
/** A replica is late only while there is something to replay: the demo writes, as other visitors would. */
const WRITE_EVERY = 250
const WRITE = "select pg_logical_emit_message(true, 'demo', '')"

export async function startDemoControl(secret: string): Promise<DemoControl> {
  let parts: DemoParts | undefined
  let healing: NodeJS.Timeout | undefined
  let writing: NodeJS.Timeout | undefined
  const stopWriting = () => {
    clearInterval(writing)
    writing = undefined
  }

  const heal = async ({ postgres, redis, nodes }: DemoParts) => {
    await Promise.all(
      postgres.nodes.map(async (node) => {
        if (node.state === 'frozen') await node.thaw()
        if (node.state === 'stopped') await node.start()
      }),
    )
    if (writing) {
      stopWriting()
      await Promise.all(postgres.replicas.map((replica) => replica.lag(0)))
    }
    if (redis?.state === 'frozen') await redis.thaw()
    if (redis?.state === 'down') await redis.start()
    await Promise.all(nodes.filter((node) => !node.running).map((node) => node.start()))
  }

  const [first, second] = [0, 1].map((index) => (from: DemoParts) => from.postgres.replicas[index])
  const deeds: Readonly<Record<DemoActionName, Deed>> = {
    'kill-replica': {
      label: 'Kill a replica',
      expect: 'Reads go on from the other replica; none fails.',
      active: (from) => first?.(from)?.state === 'stopped',
      run: async (from) => {
        if (first?.(from)?.state === 'running') await first(from)?.kill()
      },
    },
    'freeze-replica': {
      label: 'Freeze a replica',
      expect: 'It answers nothing. Within two seconds nobody asks it any more.',
      active: (from) => second?.(from)?.state === 'frozen',
      run: async (from) => {
        if (second?.(from)?.state === 'running') await second(from)?.freeze()
      },
    },
    'add-lag': {
      label: 'Add three seconds of lag',
      expect: 'You still see your own changes at once: those reads wait or go to the primary.',
      active: () => writing !== undefined,
      run: async ({ postgres }) => {
        writing ??= setInterval(() => void postgres.primary.sql(WRITE).catch(() => {}), WRITE_EVERY)
        await Promise.all(
          postgres.replicas
            .filter((replica) => replica.state === 'running')
            .map((replica) => replica.lag(LAG)),
        )
      },
    },
    'stop-redis': {
      label: 'Stop Redis',
      expect:
        'Pages go on from memory and the database, limits count per node, live messages catch up later.',
      active: ({ redis }) => redis?.state === 'down',
      run: async ({ redis }) => {
        await redis?.kill()
      },
    },
    'restart-node': {
      label: 'Restart a node',
      expect: 'It stops taking requests, hands its sockets over, comes back. Nothing fails.',
      active: ({ nodes }) => nodes.some((node) => !node.running),
      run: async ({ nodes }) => {
        const node = nodes[Math.floor(Math.random() * nodes.length)]
        await node?.stop()
        await node?.start()
      },
    },
    heal: {
      label: 'Heal everything',
      expect: 'What was broken comes back by itself.',
      active: () => false,
      run: heal,
    },
  }

  const actions = (from: DemoParts): DemoAction[] =>
    (Object.entries(deeds) as [DemoActionName, Deed][])
      .filter(([name]) => name !== 'stop-redis' || from.redis !== undefined)
      .filter(([name]) => name !== 'restart-node' || from.nodes.length > 1)
      .map(([name, { label, expect, active }]) => ({ name, label, expect, active: active(from) }))

  const authorized = (given: string | undefined) => {
    const [a, b] = [Buffer.from(given ?? ''), Buffer.from(secret)]
    return a.length === b.length && timingSafeEqual(a, b)
  }

  // One deed at a time: two that start and stop the same server would trip over each other.
  let running: Promise<unknown> = Promise.resolve()
  const perform = (name: DemoActionName, from: DemoParts): Promise<void> => {
    const done = running.then(() => deeds[name].run(from))
    running = done.catch(() => {})
    clearTimeout(healing)
    if (name !== 'heal') {
      healing = setTimeout(() => void perform('heal', from).catch(() => {}), HEAL_AFTER)
      healing.unref()
    }
    return done
  }

  const server = createServer((req, res) => {
    const answer = (status: number, body: unknown) => {
      res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    }
    if (!authorized(req.headers.authorization)) return answer(403, 'forbidden')
    if (!parts) return answer(503, 'the stack is starting')
    const [, action] = /^\/actions\/([\w-]{1,40})$/.exec(req.url ?? '') ?? []
    if (req.method === 'GET' && req.url === '/actions') return answer(200, actions(parts))
    const name = demoActionSchema.safeParse(action)
    if (req.method !== 'POST' || !name.success) return answer(404, 'there is no such action')
    // A restart takes as long as the node needs to drain; whoever asked watches it on the page.
    perform(name.data, parts).catch((error: unknown) => process.emitWarning(`demo: ${error}`))
    answer(202, actions(parts))
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the control has no port')
  return {
    url: `http://127.0.0.1:${address.port}`,
    connect(connected) {
      parts = connected
    },
    async close() {
      clearTimeout(healing)
      stopWriting()
      await running
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
