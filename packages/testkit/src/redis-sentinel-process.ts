import { createHash } from 'node:crypto'
import { access, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Lifecycle } from '@cays/core/lifecycle'
import { type RedisArgument, type RedisReply, redisCommand } from './redis-command.ts'
import { RedisProcess } from './redis-process.ts'
import type { RedisNode } from './redis-verbs.ts'

/** One sentinel. Its `host` and `port` are what clients take in their list of sentinels. */
export interface RedisSentinel
  extends Pick<
    RedisNode,
    'host' | 'port' | 'pid' | 'state' | 'command' | 'kill' | 'stop' | 'start' | 'freeze' | 'thaw'
  > {}

export interface SentinelOptions {
  readonly program: string
  readonly folder: string
  readonly lifecycle: Lifecycle
  readonly port: number
  /** What it watches, as others call it. */
  readonly name: string
  readonly password: string | undefined
  /** Milliseconds. */
  readonly downAfter: number
  /** Ports of the servers that hold data, the primary's first. */
  readonly watched: readonly number[]
  /** Ports of all sentinels. */
  readonly sentinels: readonly number[]
}

const HOST = '127.0.0.1'

export class Sentinel implements RedisSentinel {
  readonly host = HOST
  readonly port: number
  readonly #name: string
  readonly #process: RedisProcess

  constructor(options: SentinelOptions) {
    const { program, lifecycle, port } = options
    const folder = join(options.folder, `sentinel-${port}`)
    this.port = port
    this.#name = options.name
    this.#process = new RedisProcess({
      program,
      folder,
      lifecycle,
      target: { host: HOST, port },
      sentinel: true,
      // A sentinel keeps what it learns in its configuration: only the first start writes it.
      async configure() {
        const path = join(folder, 'redis.conf')
        await access(path).catch(() => writeFile(path, configuration(options)))
      },
    })
  }

  get pid(): number | undefined {
    return this.#process.pid
  }

  get state(): 'running' | 'frozen' | 'down' {
    return this.#process.state
  }

  /** The first start: throws `PortTaken` when somebody was faster. */
  async launch(signal: AbortSignal | undefined): Promise<void> {
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
    return redisCommand({ host: HOST, port: this.port }, command, { timeout: 2_000 })
  }

  /** The port of the primary as this sentinel sees it. */
  async primaryPort(): Promise<number | undefined> {
    const reply = await this.command('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', this.#name)
    return Array.isArray(reply) ? Number(reply[1]) : undefined
  }

  /** Whether it holds the server on that port for the healthy primary, with no failover under way. */
  async trusts(port: number): Promise<boolean> {
    const primary = fields(await this.command('SENTINEL', 'MASTER', this.#name))
    return primary.get('port') === String(port) && primary.get('flags') === 'master'
  }

  /** Whether it can reach enough others, knows them all, and has seen that many replicas in sync. */
  async knows(sentinels: number, replicas: number): Promise<boolean> {
    await this.command('SENTINEL', 'CKQUORUM', this.#name)
    const primary = fields(await this.command('SENTINEL', 'MASTER', this.#name))
    const reply = await this.command('SENTINEL', 'REPLICAS', this.#name)
    const known = Array.isArray(reply) ? reply.map(fields) : []
    const linked = known.filter((replica) => replica.get('master-link-status') === 'ok')
    return Number(primary.get('num-other-sentinels')) === sentinels - 1 && linked.length === replicas
  }

  // Sentinels look at roles every 10 s and greet each other every 2 s; on loopback there is no reason to wait.
  // Pings stay as they are: sentinels that all notice at once that the primary is dead split their votes.
  async #quicken(): Promise<void> {
    const periods = ['INFO-PERIOD', 200, 'PUBLISH-PERIOD', 300, 'ASK-PERIOD', 200]
    await this.command('SENTINEL', 'DEBUG', ...periods).catch(() => {})
  }
}

// Holds all that sentinels would otherwise have to discover, so that they are ready at once.
function configuration({ name, password, downAfter, watched, sentinels, port }: SentinelOptions): string {
  const [primary, ...replicas] = watched
  const quorum = Math.floor(sentinels.length / 2) + 1
  const others = sentinels.filter((other) => other !== port)
  return [
    `port ${port}`,
    `bind ${HOST}`,
    `sentinel myid ${idOf(port)}`,
    `sentinel monitor ${name} ${HOST} ${primary} ${quorum}`,
    `sentinel down-after-milliseconds ${name} ${downAfter}`,
    `sentinel failover-timeout ${name} 2000`,
    `sentinel parallel-syncs ${name} 5`,
    ...(password ? [`sentinel auth-pass ${name} ${JSON.stringify(password)}`] : []),
    ...replicas.map((replica) => `sentinel known-replica ${name} ${HOST} ${replica}`),
    ...others.map((other) => `sentinel known-sentinel ${name} ${HOST} ${other} ${idOf(other)}`),
    '',
  ].join('\n')
}

function idOf(port: number): string {
  return createHash('sha1').update(`sentinel ${port}`).digest('hex')
}

function fields(reply: RedisReply): ReadonlyMap<string, string> {
  const words = Array.isArray(reply) ? reply.map(String) : []
  return new Map(words.flatMap((word, index) => (index % 2 === 0 ? [[word, words[index + 1] ?? '']] : [])))
}
