import { createHash } from 'node:crypto'
import { access, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Closeable } from '@cays/core/lifecycle'
import { TestkitError } from './errors.ts'
import { type RedisArgument, type RedisReply, redisCommand } from './redis-command.ts'
import { type FailoverOptions, lag } from './redis-failover.ts'
import { onFreshGround } from './redis-ground.ts'
import { groupVerbs } from './redis-group.ts'
import type { ReadSentinelOptions } from './redis-options.ts'
import { RedisProcess } from './redis-process.ts'
import { RedisServer } from './redis-server.ts'
import type { RedisNode, RedisVerbs } from './redis-verbs.ts'
import { waitUntil } from './redis-wait.ts'

const HOST = '127.0.0.1'

/** One sentinel process. Its `host` and `port` are what clients take in their list of sentinels. */
export interface RedisSentinel
  extends Pick<
    RedisNode,
    'host' | 'port' | 'pid' | 'state' | 'command' | 'kill' | 'stop' | 'start' | 'freeze' | 'thaw'
  > {}

/** A primary, its replicas, and the sentinels that watch them. Verbs reach the primary and all replicas at once. */
export interface SentinelRedis extends RedisVerbs, Closeable {
  readonly mode: 'sentinel'
  /** What sentinels call this set-up. */
  readonly name: string
  readonly sentinels: readonly RedisSentinel[]
  /** The servers that hold data; the first was the primary at the start. */
  readonly nodes: readonly RedisNode[]
  /** The primary that most sentinels name now. */
  primary(): Promise<RedisNode>
  /**
   * Makes a replica the primary and resolves to it when every running sentinel names it and it takes writes.
   * A server that comes back with `start` asks the sentinels who the primary is and follows it.
   */
  failover(options?: FailoverOptions): Promise<RedisNode>
}

export async function startSentinel(options: ReadSentinelOptions): Promise<SentinelRedis> {
  const { name, password, replicas, signal } = options
  return await onFreshGround(1 + replicas + options.sentinels, async (ground) => {
    const { program, folder, lifecycle } = ground
    const dataPorts = ground.ports.slice(0, 1 + replicas)
    const sentinelPorts = ground.ports.slice(1 + replicas)
    let sentinels: readonly Sentinel[] = []
    let primaryPort = dataPorts[0] ?? 0

    const agreedPort = async (): Promise<number | undefined> => {
      const asked = sentinels.filter((sentinel) => sentinel.state === 'running')
      const ports = await Promise.all(
        asked.map((sentinel) => sentinel.primaryPort(name).catch(() => undefined)),
      )
      return mostNamed(ports)
    }
    const nodes = dataPorts.map(
      (port) =>
        new RedisServer({
          program,
          folder: join(folder, String(port)),
          port,
          password,
          settings: options.config,
          async atStart(): Promise<Readonly<Record<string, string>>> {
            primaryPort = (await agreedPort()) ?? primaryPort
            return port === primaryPort ? {} : { replicaof: `${HOST} ${primaryPort}` }
          },
        }),
    )
    const primary = async (): Promise<RedisServer> => {
      primaryPort = (await agreedPort()) ?? primaryPort
      const node = nodes.find(({ port }) => port === primaryPort)
      if (!node)
        throw new TestkitError('TESTKIT_ERR_STATE', 'the sentinels name a primary that is none of ours')
      return node
    }
    const settled = () =>
      waitUntil(
        'the primary has all its replicas',
        async () => {
          const info = await (await primary()).info()
          const others = nodes.filter((node) => node.state === 'running').length - 1
          return info.get('role') === 'master' && onlineReplicas(info) >= others
        },
        { timeout: 20_000, signal },
      ).then(() => {})

    for (const node of nodes) lifecycle.onClose(() => node.kill())
    await nodes[0]?.launch(signal)
    await Promise.all(nodes.slice(1).map((node) => node.launch(signal)))
    await settled()

    const configuration = (port: number) => sentinelConfiguration({ options, dataPorts, sentinelPorts, port })
    sentinels = sentinelPorts.map((port) => {
      const home = join(folder, `sentinel-${port}`)
      return new Sentinel(program, home, port, configuration(port))
    })
    for (const sentinel of sentinels) lifecycle.onClose(() => sentinel.kill())
    await Promise.all(sentinels.map((sentinel) => sentinel.launch(signal)))
    await waitUntil(
      'the sentinels know each other and the replicas',
      () => allKnown(sentinels, name, replicas),
      {
        timeout: 15_000,
        signal,
      },
    )

    return {
      mode: 'sentinel',
      name,
      sentinels,
      nodes,
      ...groupVerbs({ servers: nodes, homeOf: primary, settled }),
      primary,
      async failover({ lagging, cause = 'planned' }: FailoverOptions = {}) {
        const old = await primary()
        const others = nodes.filter((node) => node !== old && node.state === 'running')
        if (others.length === 0)
          throw new TestkitError('TESTKIT_ERR_STATE', 'failover: no replica is running')
        await lag(old, others, lagging)
        if (cause === 'crash') await old.kill()
        else await orderFailover(sentinels, name)
        const promoted = await waitUntil(
          'all sentinels name a new primary',
          async () => {
            const asked = sentinels.filter((sentinel) => sentinel.state === 'running')
            const ports = new Set(await Promise.all(asked.map((sentinel) => sentinel.primaryPort(name))))
            const node = others.find(({ port }) => ports.size === 1 && ports.has(port))
            return node && (await node.info()).get('role') === 'master' ? node : undefined
          },
          { timeout: 30_000, signal },
        )
        await Promise.all(others.map((node) => node.restoreReplication()))
        // Sentinels do the same, some seconds later: until then the old primary would go on taking writes.
        if (old.state === 'running') {
          await old.command('REPLICAOF', HOST, promoted.port)
          await old.killClients()
        }
        await settled()
        return promoted
      },
      close: () => lifecycle.close(),
      [Symbol.asyncDispose]: () => lifecycle.close(),
    }
  })
}

class Sentinel implements RedisSentinel {
  readonly host = HOST
  readonly port: number
  readonly #process: RedisProcess

  constructor(program: string, folder: string, port: number, configuration: string) {
    this.port = port
    this.#process = new RedisProcess({
      program,
      folder,
      target: { host: HOST, port },
      sentinel: true,
      // A sentinel keeps what it learns in its configuration: only the first start writes it.
      async prepare() {
        const path = join(folder, 'redis.conf')
        await access(path).catch(() => writeFile(path, configuration))
      },
    })
  }

  get pid(): number | undefined {
    return this.#process.pid
  }

  get state(): 'running' | 'frozen' | 'down' {
    return this.#process.state
  }

  async launch(signal?: AbortSignal): Promise<void> {
    await this.#process.launch(signal)
    await this.#quicken()
  }

  async start(): Promise<void> {
    await this.#process.start()
    await this.#quicken()
  }

  kill(): Promise<void> {
    return this.#process.kill()
  }

  stop(): Promise<void> {
    return this.#process.stop()
  }

  freeze(): Promise<void> {
    return this.#process.freeze()
  }

  thaw(): Promise<void> {
    return this.#process.thaw()
  }

  command(...command: readonly RedisArgument[]): Promise<RedisReply> {
    return redisCommand({ host: HOST, port: this.port }, command)
  }

  async primaryPort(name: string): Promise<number | undefined> {
    const reply = await redisCommand(
      { host: HOST, port: this.port },
      ['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', name],
      { timeout: 1_000 },
    )
    return Array.isArray(reply) ? Number(reply[1]) : undefined
  }

  // Sentinels look at roles every 10 s and greet each other every 2 s; on loopback there is no reason to wait.
  async #quicken(): Promise<void> {
    const periods = ['INFO-PERIOD', 200, 'PUBLISH-PERIOD', 300, 'PING-PERIOD', 100, 'ASK-PERIOD', 200]
    await this.command('SENTINEL', 'DEBUG', ...periods).catch(() => {})
  }
}

interface SentinelLayout {
  readonly options: ReadSentinelOptions
  readonly dataPorts: readonly number[]
  readonly sentinelPorts: readonly number[]
  readonly port: number
}

// All that sentinels would otherwise have to discover, so that they are ready at once.
function sentinelConfiguration({ options, dataPorts, sentinelPorts, port }: SentinelLayout): string {
  const { name, password, downAfter } = options
  const [primary, ...replicas] = dataPorts
  return [
    `port ${port}`,
    `bind ${HOST}`,
    `sentinel myid ${sentinelId(port)}`,
    `sentinel monitor ${name} ${HOST} ${primary} ${Math.floor(sentinelPorts.length / 2) + 1}`,
    `sentinel down-after-milliseconds ${name} ${downAfter}`,
    `sentinel failover-timeout ${name} 3000`,
    `sentinel parallel-syncs ${name} 5`,
    ...(password ? [`sentinel auth-pass ${name} ${JSON.stringify(password)}`] : []),
    ...replicas.map((replica) => `sentinel known-replica ${name} ${HOST} ${replica}`),
    ...sentinelPorts
      .filter((other) => other !== port)
      .map((other) => `sentinel known-sentinel ${name} ${HOST} ${other} ${sentinelId(other)}`),
    '',
  ].join('\n')
}

function sentinelId(port: number): string {
  return createHash('sha1').update(`sentinel ${port}`).digest('hex')
}

async function allKnown(sentinels: readonly Sentinel[], name: string, replicas: number): Promise<boolean> {
  const views = await Promise.all(
    sentinels.map(async (sentinel) => {
      await sentinel.command('SENTINEL', 'CKQUORUM', name)
      const master = fields(await sentinel.command('SENTINEL', 'MASTER', name))
      const known = (await sentinel.command('SENTINEL', 'REPLICAS', name)) as readonly RedisReply[]
      const linked = known.map(fields).filter((replica) => replica.get('master-link-status') === 'ok')
      return Number(master.get('num-other-sentinels')) === sentinels.length - 1 && linked.length === replicas
    }),
  )
  return views.every(Boolean)
}

async function orderFailover(sentinels: readonly Sentinel[], name: string): Promise<void> {
  const sentinel = sentinels.find(({ state }) => state === 'running')
  if (!sentinel) throw new TestkitError('TESTKIT_ERR_STATE', 'failover: no sentinel is running')
  // Refused while an earlier failover is being finished.
  await waitUntil(
    'a sentinel begins the failover',
    () => sentinel.command('SENTINEL', 'FAILOVER', name).then(Boolean),
    {
      timeout: 15_000,
      every: 100,
    },
  )
}

function fields(reply: RedisReply): ReadonlyMap<string, string> {
  const words = Array.isArray(reply) ? reply.map(String) : []
  return new Map(words.flatMap((word, index) => (index % 2 === 0 ? [[word, words[index + 1] ?? '']] : [])))
}

function onlineReplicas(info: ReadonlyMap<string, string>): number {
  return [...info].filter(([field, value]) => /^slave\d+$/.test(field) && value.includes('state=online'))
    .length
}

function mostNamed(ports: readonly (number | undefined)[]): number | undefined {
  const counts = new Map<number, number>()
  for (const port of ports) if (port !== undefined) counts.set(port, (counts.get(port) ?? 0) + 1)
  return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0]
}
