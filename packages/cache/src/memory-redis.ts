import { randomBytes } from 'node:crypto'
import { SCRIPTS_IN_MEMORY } from './memory-scripts.ts'

/** What Redis answers. */
export type Reply = string | number | null | readonly Reply[]

/** One key: text, the fields of a namespace or the messages of a feed, and when it ends. */
interface Held {
  readonly data: unknown
  readonly until: number
}

/** More writes than this and the first ones cannot be lost any more. */
const MAX_JOURNAL = 1_000

/**
 * A Redis server as far as this package knows it: its commands, its scripts and nothing else. What each script does
 * is written once more in TypeScript; the tests hold the two against each other, answer by answer.
 */
export class MemoryRedis {
  /** The first part of its run id, as the scripts use it. */
  run: string = newRun()
  /** As under `maxmemory` with `noeviction`: what would need memory is refused. */
  full = false
  readonly #publish: (channel: string, message: string) => void
  readonly #written: (key: string) => void
  readonly #known = new Set<string>()
  #keys = new Map<string, Held>()
  /** What the last writes replaced, one map per command. */
  #journal: Map<string, Held | undefined>[] = []
  #replaced = new Map<string, Held | undefined>()
  #writes = false

  constructor(on: {
    readonly published: (channel: string, message: string) => void
    readonly written: (key: string) => void
  }) {
    this.#publish = on.published
    this.#written = on.written
  }

  get keys(): readonly string[] {
    return [...this.#keys.keys()].filter((key) => this.get(key) !== undefined)
  }

  /** Carries out one command, all of it at once. Throws what Redis would answer as an error. */
  command(name: string, parts: readonly unknown[]): Reply {
    this.#replaced = new Map()
    this.#writes = false
    try {
      return this.#carryOut(name.toLowerCase(), parts.map(String))
    } finally {
      if (this.#replaced.size > 0) this.#journal.push(this.#replaced)
      if (this.#journal.length > MAX_JOURNAL) this.#journal.shift()
    }
  }

  #carryOut(name: string, parts: readonly string[]): Reply {
    switch (name) {
      case 'ping':
        return 'PONG'
      case 'get':
        return this.text(parts[0]) ?? null
      case 'mget':
        return parts.map((key) => this.text(key) ?? null)
      case 'eval':
      case 'evalsha': {
        const [text = '', count, ...rest] = parts
        const script = SCRIPTS_IN_MEMORY.find(({ lua, sha }) => text === (name === 'eval' ? lua : sha))
        if (!script || (name === 'evalsha' && !this.#known.has(script.sha))) {
          throw new Error('NOSCRIPT No matching script. Please use EVAL.')
        }
        this.#known.add(script.sha)
        return script.run(this, rest.slice(0, Number(count)), rest.slice(Number(count)))
      }
      default:
        throw new Error(`ERR this Redis is a double for tests of @cays/cache and does not know '${name}'`)
    }
  }

  /** Another run of the server, without its last writes. */
  restart(lose: number | 'everything'): void {
    for (let i = 0; lose !== 'everything' && i < lose; i++) {
      for (const [key, held] of this.#journal.pop() ?? []) {
        if (held) this.#keys.set(key, held)
        else this.#keys.delete(key)
      }
    }
    if (lose === 'everything') this.#keys = new Map()
    this.#journal = []
    this.#known.clear()
    this.run = newRun()
  }

  evict(keys: readonly string[]): void {
    this.#replaced = new Map()
    this.delete(...keys)
  }

  get(key: string | undefined): unknown {
    const held = this.#keys.get(key ?? '')
    if (held && Date.now() <= held.until) return held.data
    return undefined
  }

  text(key: string | undefined): string | undefined {
    return this.get(key) as string | undefined
  }

  /** Milliseconds until the key ends; -2 when there is none. */
  left(key: string): number {
    if (this.get(key) === undefined) return -2
    return (this.#keys.get(key)?.until ?? 0) - Date.now()
  }

  /** With `ttl` in milliseconds the key gets a new end, else it keeps the one it has. */
  set(key: string, data: unknown, ttl?: number): void {
    if (this.full && !this.#writes) {
      throw new Error("OOM command not allowed when used memory > 'maxmemory'.")
    }
    const before = this.get(key) === undefined ? undefined : this.#keys.get(key)
    const until = ttl === undefined ? (before?.until ?? Number.POSITIVE_INFINITY) : Date.now() + ttl
    this.#replace(key, { data, until })
  }

  delete(...keys: readonly string[]): void {
    this.mayWrite()
    for (const key of keys) if (this.#keys.has(key)) this.#replace(key, undefined)
  }

  /** A full server lets a script go on that has begun to write. */
  mayWrite(): void {
    this.#writes = true
  }

  publish(channel: string, message: string): void {
    this.#publish(channel, message)
  }

  #replace(key: string, held: Held | undefined): void {
    this.mayWrite()
    if (!this.#replaced.has(key)) this.#replaced.set(key, this.#keys.get(key))
    if (held) this.#keys.set(key, held)
    else this.#keys.delete(key)
    this.#written(key)
  }
}

function newRun(): string {
  return randomBytes(5).toString('hex')
}
