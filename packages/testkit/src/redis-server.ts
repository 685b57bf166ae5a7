import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Lifecycle } from '@cays/core/lifecycle'
import { TestkitError } from './errors.ts'
import { cutAppendOnlyFile } from './redis-aof.ts'
import {
  type RedisArgument,
  type RedisReply,
  type RedisTarget,
  redisCommand,
  redisPipeline,
  textOf,
} from './redis-command.ts'
import { RedisProcess } from './redis-process.ts'
import type { RedisClientType, RedisNode, RedisRestartOptions, RedisSettings } from './redis-verbs.ts'
import { waitUntil } from './redis-wait.ts'

export interface RedisServerOptions {
  readonly program: string
  readonly folder: string
  readonly port: number
  /** Of the set-up it belongs to. */
  readonly lifecycle: Lifecycle
  readonly password: string | undefined
  readonly settings: RedisSettings
  /** More lines for the configuration, asked for at each start: who the primary is by then, for one. */
  readonly atStart?: (() => Promise<RedisSettings>) | undefined
}

const HOST = '127.0.0.1'

/** A server that holds data: standalone, or a member of a Sentinel set-up or a cluster. */
export class RedisServer implements RedisNode {
  readonly host = HOST
  readonly port: number
  readonly url: string

  readonly #options: RedisServerOptions
  readonly #target: RedisTarget
  readonly #process: RedisProcess
  readonly #users = new Map<string, string[]>()
  #settings: RedisSettings

  constructor(options: RedisServerOptions) {
    const { port, password, program, folder, lifecycle } = options
    this.port = port
    this.url = `redis://${password ? `:${encodeURIComponent(password)}@` : ''}${HOST}:${port}`
    this.#options = options
    this.#settings = options.settings
    this.#target = { host: HOST, port, password }
    this.#process = new RedisProcess({
      program,
      folder,
      lifecycle,
      target: this.#target,
      configure: () => this.#writeConfiguration(),
    })
  }

  get pid(): number | undefined {
    return this.#process.pid
  }

  get state(): 'running' | 'frozen' | 'down' {
    return this.#process.state
  }

  /** The first start: throws `PortTaken` when somebody was faster. */
  launch(signal: AbortSignal | undefined): Promise<void> {
    return this.#process.launch(signal)
  }

  start(): Promise<void> {
    return this.#process.start()
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

  async restart({ data = 'aof' }: RedisRestartOptions = {}): Promise<void> {
    if (typeof data === 'object' && !(Number.isSafeInteger(data.loseLast) && data.loseLast >= 0)) {
      throw new TestkitError('TESTKIT_ERR_OPTIONS', 'restart: loseLast must be a whole number of entries')
    }
    await this.kill()
    const { folder } = this.#options
    if (data === 'empty') await rm(join(folder, 'appendonlydir'), { recursive: true, force: true })
    else if (data !== 'aof') await cutAppendOnlyFile(folder, data.loseLast)
    await this.start()
  }

  command(...command: readonly RedisArgument[]): Promise<RedisReply> {
    return redisCommand(this.#target, command)
  }

  async info(): Promise<ReadonlyMap<string, string>> {
    const lines = String(await this.command('INFO')).split('\r\n')
    return new Map(
      lines.flatMap((line) => {
        const colon = line.indexOf(':')
        return colon < 0 ? [] : [[line.slice(0, colon), line.slice(colon + 1)] as const]
      }),
    )
  }

  async flushScripts(): Promise<void> {
    await this.command('SCRIPT', 'FLUSH', 'SYNC')
  }

  async killClients(type?: RedisClientType): Promise<number> {
    const types = type ? [type] : (['normal', 'pubsub'] as const)
    const lists = await this.#all(types.map((each) => ['CLIENT', 'LIST', 'TYPE', each]))
    const ids = lists.flatMap((list) => clientIds(String(list)))
    const killed = await this.#all(ids.map((id) => ['CLIENT', 'KILL', 'ID', id, 'SKIPME', 'YES']))
    return killed.reduce<number>((sum, count) => sum + Number(count), 0)
  }

  async evict(keys: string | readonly string[]): Promise<number> {
    const removed = await this.#all([keys].flat().map((key) => ['UNLINK', key]))
    return removed.reduce<number>((sum, count) => sum + Number(count), 0)
  }

  async config(settings: RedisSettings): Promise<void> {
    if (this.state !== 'down') await this.command('CONFIG', 'SET', ...Object.entries(settings).flat())
    this.#settings = { ...this.#settings, ...settings }
  }

  async acl(user: string, ...rules: readonly string[]): Promise<void> {
    if (this.state !== 'down') await this.command('ACL', 'SETUSER', user, ...rules)
    this.#users.set(user, [...(this.#users.get(user) ?? []), ...rules])
  }

  /** Where commands go. */
  get target(): RedisTarget {
    return this.#target
  }

  // A replica whose login the primary refuses stays cut off, in a cluster too, where REPLICAOF is not allowed.
  async cutReplication(): Promise<void> {
    if ((await this.info()).get('role') !== 'slave') {
      throw new TestkitError('TESTKIT_ERR_STATE', 'cutReplication: this server is no replica')
    }
    await this.command('CONFIG', 'SET', 'masteruser', 'nobody', 'masterauth', 'refused')
    await this.command('CLIENT', 'KILL', 'TYPE', 'master')
    await waitUntil(
      'the replica has lost its primary',
      async () => (await this.info()).get('master_link_status') === 'down',
      { timeout: 5_000 },
    )
  }

  async restoreReplication(): Promise<void> {
    await this.command('CONFIG', 'SET', 'masteruser', '', 'masterauth', this.#options.password ?? '')
  }

  async #all(commands: readonly (readonly RedisArgument[])[]): Promise<readonly RedisReply[]> {
    if (commands.length === 0) return []
    return (await redisPipeline(this.#target, commands)).map(textOf)
  }

  async #writeConfiguration(): Promise<void> {
    const { folder, password, port, atStart } = this.#options
    const settings: RedisSettings = {
      port,
      bind: HOST,
      dir: folder,
      save: '',
      appendonly: 'yes',
      // The process may be killed without loss; surviving the machine is not asked for, and syncing costs time.
      appendfsync: 'no',
      'auto-aof-rewrite-percentage': 0,
      'repl-diskless-sync-delay': 0,
      'shutdown-timeout': 1,
      ...(password ? { requirepass: quoted(password), masterauth: quoted(password) } : {}),
      ...this.#settings,
      ...(await atStart?.()),
    }
    const lines = Object.entries(settings).map(([name, value]) => `${name} ${value === '' ? '""' : value}`)
    for (const [user, rules] of this.#users) lines.push(`user ${user} ${rules.join(' ')}`)
    await writeFile(join(folder, 'redis.conf'), `${lines.join('\n')}\n`)
  }
}

function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`
}

function clientIds(list: string): readonly string[] {
  return list
    .split('\n')
    .filter((line) => line && !line.includes(' name=sentinel-'))
    .map((line) => /^id=(\d+)/.exec(line)?.[1] ?? '')
    .filter((id) => id !== '')
}
