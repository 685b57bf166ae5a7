import { delay } from '@cays/core/abort'
import type { RedisScript, ScriptArgument } from '@cays/core/redis-script'
import { RealtimeError } from './errors.ts'
import { failureOf, ownConnection, type RedisClient } from './redis-client.ts'
import type { RoomKeys } from './redis-keys.ts'

export interface RedisCommandsOptions {
  readonly redis: RedisClient
  /** Milliseconds a command may take, retries included. */
  readonly timeout: number
  /** Milliseconds between two checks of the connection. */
  readonly heartbeat: number
  /** A connection was lost and is back: what was written through it may be gone. */
  readonly reconnected?: () => void
}

/** Makes a script for one server; its first argument says whether the run has to prove the id. */
export type GuardedScript = (runId: string) => RedisScript

/**
 * The commanding connection of a node: repeats what failed until its time is over, and knows for each part
 * of the keyspace which server holds it.
 */
export class RedisCommands {
  readonly client: RedisClient
  readonly #options: RedisCommandsOptions
  // By script and hash tag; one tag serves all without a cluster.
  readonly #guarded = new Map<GuardedScript, Map<string, RedisScript>>()
  readonly #timer: NodeJS.Timeout
  #runId = ''
  #epochGuard = true
  #connected = false
  #closed = false

  constructor(options: RedisCommandsOptions) {
    this.#options = options
    this.client = ownConnection(options.redis, 'commands')
    // A cluster shows the loss of one server as a changed node.
    for (const event of options.redis.isCluster ? ['ready', '+node'] : ['ready']) {
      this.client.on(event, () => {
        if (this.#connected) options.reconnected?.()
        if (event === 'ready') this.#connected = true
      })
    }
    this.#timer = setInterval(() => void this.#check(), options.heartbeat)
    this.#timer.unref()
  }

  get up(): boolean {
    return this.client.status === 'ready'
  }

  /** Names the server that was asked last; empty when it may not be known. */
  get runId(): string {
    return this.#runId
  }

  /** False when servers do not tell who they are. */
  get epochGuard(): boolean {
    return this.#epochGuard
  }

  /** Runs a script that may be repeated. */
  run(
    script: RedisScript,
    keys: readonly string[],
    args: () => readonly ScriptArgument[] = () => [],
  ): Promise<unknown> {
    return this.#retry(() => script.run(this.client, keys, args()))
  }

  /** Runs a script that knows the server it runs on; `args` follow the one that asks for the proof. */
  async runGuarded(
    guarded: GuardedScript,
    room: RoomKeys,
    keys: readonly string[],
    args: () => readonly ScriptArgument[],
  ): Promise<unknown> {
    const tag = this.#options.redis.isCluster ? room.tag : ''
    const scripts = this.#guarded.get(guarded) ?? new Map<string, RedisScript>()
    this.#guarded.set(guarded, scripts)
    return await this.#retry(
      async () => {
        const known = scripts.get(tag)
        if (known) return await this.client.evalsha(known.sha, keys.length, ...keys, '0', ...args())
        const script = guarded(await this.#learnRunId(room.meta))
        const result = await this.client.eval(script.lua, keys.length, ...keys, '1', ...args())
        scripts.set(tag, script)
        return result
      },
      () => scripts.delete(tag),
    )
  }

  close(): void {
    this.#closed = true
    clearInterval(this.#timer)
    this.client.disconnect()
  }

  // What is repeated is the same in all its keys, so that a lost answer cannot double a message.
  async #retry<T>(command: () => Promise<T>, forget: () => void = () => {}): Promise<T> {
    const deadline = Date.now() + this.#options.timeout
    for (let attempt = 0; ; attempt++) {
      const left = deadline - Date.now()
      try {
        return await withTimeout(command(), Math.max(1, left))
      } catch (error) {
        const failure = failureOf(error)
        if (failure === 'refused') throw refused(error)
        if (failure === 'no-script') forget()
        if (this.#closed || Date.now() >= deadline) throw unavailable(error)
        if (failure === 'unavailable')
          await delay(Math.min(250, 10 * 2 ** attempt) * (0.5 + Math.random() / 2))
      }
    }
  }

  // Asked through a script, so that a cluster answers from the server that holds the key.
  async #learnRunId(key: string): Promise<string> {
    try {
      const info = await this.client.eval("return redis.call('INFO', 'server')", 1, key)
      this.#runId = /run_id:([0-9a-f]+)/.exec(String(info))?.[1] ?? ''
    } catch (error) {
      if (failureOf(error) !== 'refused') throw error
      this.#runId = ''
    }
    this.#epochGuard = this.#runId !== ''
    return this.#runId
  }

  // Finds connections that are silently dead. A cluster's client connects again to a server that it lost.
  async #check(): Promise<void> {
    const alone = { ping: () => this.client.ping(), disconnect: () => this.client.disconnect(true) }
    const servers = this.client.nodes?.('master').filter(({ status }) => status === 'ready') ?? [alone]
    if (!this.up) return
    const checks = servers.map(async (server) => {
      try {
        await withTimeout(server.ping(), this.#options.heartbeat)
      } catch {
        if (!this.#closed) server.disconnect()
      }
    })
    await Promise.all(checks)
  }
}

async function withTimeout<T>(promise: Promise<T>, milliseconds: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('no answer from Redis in time')), milliseconds)
  })
  try {
    return await Promise.race([promise, timeout])
  } finally {
    clearTimeout(timer)
  }
}

export function unavailable(cause: unknown): RealtimeError {
  return new RealtimeError(
    'REALTIME_ERR_UNAVAILABLE',
    'Redis did not answer in time; repeat the call with the same idempotencyKey',
    { cause },
  )
}

export function refused(cause: unknown): RealtimeError {
  return new RealtimeError('REALTIME_ERR_REFUSED', 'Redis refused the command; see cause', { cause })
}
