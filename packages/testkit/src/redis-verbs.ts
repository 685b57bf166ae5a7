import type { RedisArgument, RedisReply } from './redis-command.ts'

/** What a restart leaves of the data. */
export interface RedisRestartOptions {
  /**
   * What the server finds when it comes back after SIGKILL:
   * - `'aof'`: every write it had acknowledged;
   * - `'empty'`: nothing (a cluster node keeps its identity and its slots);
   * - `{ loseLast: n }`: all but the last `n` entries of its append-only file, as after a crash of the machine.
   *   A transaction, or a script with all its writes, is one entry.
   *
   * @default 'aof'
   */
  readonly data?: 'aof' | 'empty' | { readonly loseLast: number }
}

/** The kinds of connection that `CLIENT KILL TYPE` knows. */
export type RedisClientType = 'normal' | 'pubsub' | 'replica' | 'master'

/** What can be done to one server, or to all servers of a Sentinel set-up or a cluster at once. */
export interface RedisVerbs {
  /** SIGKILL. Connections break; the port refuses new ones. A server that is down stays down. */
  kill(): Promise<void>
  /** SIGTERM, and waits until it is gone. */
  stop(): Promise<void>
  /**
   * Starts it on the same port with the same data, or all of a group that are down; resolves when it serves.
   * A single server that runs refuses with `TESTKIT_ERR_STATE`.
   */
  start(): Promise<void>
  /** `kill`, then changes the data as asked, then `start`. The server comes back with another `run_id`. */
  restart(options?: RedisRestartOptions): Promise<void>
  /** SIGSTOP: connections stay up and are accepted, nothing is answered. */
  freeze(): Promise<void>
  /** SIGCONT: everything that was sent meanwhile is carried out. */
  thaw(): Promise<void>
  /** `SCRIPT FLUSH`: the next EVALSHA of any script fails with NOSCRIPT. */
  flushScripts(): Promise<void>
  /**
   * Breaks the connections of one type, or of both `'normal'` and `'pubsub'` by default, as an operator's
   * `CLIENT KILL` does; those of sentinels are spared. Resolves to how many there were.
   */
  killClients(type?: RedisClientType): Promise<number>
  /**
   * Removes keys as an eviction under `maxmemory` does: without a command of any client, passed on to replicas
   * and to CLIENT TRACKING. Resolves to how many existed. The keyspace event is `del`; for the real policy
   * with its own choice of keys, set `maxmemory` with {@link RedisVerbs.config}.
   */
  evict(keys: string | readonly string[]): Promise<number>
  /** `CONFIG SET`, in force now and after every later start. */
  config(settings: RedisSettings): Promise<void>
  /**
   * `ACL SETUSER user rules…`, in force now and after every later start, e.g.
   * `acl('app', 'on', '>secret', '~*', '&*', '+@all', '-@scripting')`. Leave `default` its rights: the testkit
   * itself uses it.
   */
  acl(user: string, ...rules: readonly string[]): Promise<void>
}

/** Lines of `redis.conf` or arguments of `CONFIG SET`: several words stand in one string. */
export type RedisSettings = Readonly<Record<string, string | number>>

/** One Redis server process on loopback. */
export interface RedisNode extends RedisVerbs {
  readonly host: string
  readonly port: number
  /** `redis://…` with the password, if there is one. */
  readonly url: string
  /** Of the process; undefined while it is down. */
  readonly pid: number | undefined
  readonly state: 'running' | 'frozen' | 'down'
  /**
   * Sends one command as the user `default` over a connection of its own, and gives the reply (RESP2) as text.
   * Rejects with `TESTKIT_ERR_REPLY` when the reply is an error.
   */
  command(...command: readonly RedisArgument[]): Promise<RedisReply>
  /** The fields of `INFO`. */
  info(): Promise<ReadonlyMap<string, string>>
  /**
   * On a replica: breaks its link to the primary and keeps it from coming back, so that it falls behind what
   * the primary acknowledges. Both go on serving.
   */
  cutReplication(): Promise<void>
  /** Lets the replica link up again, which takes it about a second, and catch up. */
  restoreReplication(): Promise<void>
}
