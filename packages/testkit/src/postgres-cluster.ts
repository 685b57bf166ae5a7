import { join } from 'node:path'
import type { Duration } from '@cays/core/duration'
import type { Lifecycle } from '@cays/core/lifecycle'
import { optionReader, TestkitError } from './errors.ts'
import { poll } from './poll.ts'
import type { PostgresInstallation } from './postgres-installation.ts'
import { PostgresNode, type PostgresVerbOptions } from './postgres-node.ts'
import { PostgresSession } from './postgres-session.ts'
import type { PostgresSettings } from './postgres-settings.ts'
import { makeFolderFor } from './server-account.ts'

/** How many replicas a commit waits for, and for what. */
export interface PostgresSynchronousOptions extends PostgresVerbOptions {
  /** How many replicas must confirm a commit. @default 1 */
  readonly count?: number
  /** What they must have done with it; see `synchronous_commit` in the Postgres manual. @default 'remote_apply' */
  readonly commit?: 'remote_write' | 'on' | 'remote_apply'
}

/** How a failover goes. */
export interface PostgresFailoverOptions extends PostgresVerbOptions {
  /** The replica to promote. @default the one that has received most */
  readonly to?: PostgresNode
  /**
   * What becomes of the old primary. `kill` crashes it, `stop` stops it in good order, `keep` leaves it running
   * and taking writes that are lost: two primaries, as after a network partition. @default 'kill'
   */
  readonly old?: 'kill' | 'stop' | 'keep'
}

/** How long to wait for replicas. */
export interface PostgresCatchupOptions extends PostgresVerbOptions {
  /** @default '15s' */
  readonly timeout?: Duration
}

/** Where a recovery conflict happens. */
export interface PostgresConflictOptions extends PostgresVerbOptions {
  /** The database whose sessions are to lose. @default 'postgres' */
  readonly database?: string
}

/** What a cluster is made from. */
export interface PostgresClusterContext {
  readonly folder: string
  readonly installation: PostgresInstallation
  readonly lifecycle: Lifecycle
  readonly settings: PostgresSettings
}

/**
 * A primary and its streaming replicas, each a {@link PostgresNode} with verbs of its own.
 *
 * `close()` ends every server within seconds, whatever its state, and removes all data; it is idempotent, and
 * `await using` calls it. Should this process die first, a guardian process does the same.
 */
export class PostgresCluster implements AsyncDisposable {
  /** The major version, such as 18. */
  readonly version: number
  readonly #context: PostgresClusterContext
  readonly #nodes: PostgresNode[] = []
  #primary: PostgresNode
  #synchronous: PostgresSettings = {}

  /** @internal */
  constructor(context: PostgresClusterContext) {
    this.#context = context
    this.version = context.installation.major
    this.#primary = this.makeNode()
  }

  /** All nodes in the order of their making, stopped ones too. */
  get nodes(): readonly PostgresNode[] {
    return [...this.#nodes]
  }

  /** The node that was made a primary last. */
  get primary(): PostgresNode {
    return this.#primary
  }

  /** The nodes that follow another one, stopped ones too. */
  get replicas(): readonly PostgresNode[] {
    return this.#nodes.filter((node) => node.role === 'replica')
  }

  /** The connection string of the primary. */
  get url(): string {
    return this.#primary.url
  }

  /** The connection strings of the primary and of the replicas. */
  get urls(): { readonly primary: string; readonly replicas: readonly string[] } {
    return { primary: this.url, replicas: this.replicas.map((replica) => replica.url) }
  }

  /** Copies the running primary into a new replica, and resolves once that streams. */
  addReplica(options: PostgresVerbOptions = {}): Promise<PostgresNode> {
    return this.#run(options, async (signal) => {
      const replica = this.makeNode()
      try {
        await replica.copyFrom(this.#primary, signal)
        await replica.start({ signal })
        await replica.streaming(signal)
      } catch (error) {
        this.#nodes.splice(this.#nodes.indexOf(replica), 1)
        await replica.discard()
        throw error
      }
      return replica
    })
  }

  /**
   * With `true` or options: the primary confirms a commit only when that many replicas have it, and waits as long
   * as they are away. With `false`: at once.
   */
  synchronous(mode: boolean | PostgresSynchronousOptions): Promise<void> {
    const { count = 1, commit = 'remote_apply', signal } = typeof mode === 'boolean' ? {} : mode
    return this.#run({ signal }, async (inner) => {
      // The same on every node, so that it still holds after a failover.
      this.#synchronous =
        mode === false
          ? { synchronous_standby_names: undefined, synchronous_commit: undefined }
          : { synchronous_standby_names: `ANY ${count} (*)`, synchronous_commit: commit }
      await Promise.all(this.#nodes.map((node) => node.configure(this.#synchronous, { signal: inner })))
    })
  }

  /** Promotes a replica, makes the other running replicas follow it, and resolves with it. */
  failover(options: PostgresFailoverOptions = {}): Promise<PostgresNode> {
    return this.#run(options, async (signal) => {
      const { old = 'kill' } = options
      if (!this.#running().includes(options.to ?? this.#running()[0] ?? this.#primary)) {
        throw new TestkitError('TESTKIT_ERR_STATE', 'failover: no replica is running that could be promoted')
      }
      if (old === 'kill') await this.#primary.kill()
      if (old === 'stop') await this.#primary.stop({ signal })
      // Asked after the primary is gone: what a replica has received is then final.
      const to = options.to ?? (await this.#mostAdvanced(signal))
      await to.promote({ signal })
      await Promise.all(this.#running().map((replica) => replica.repoint(to, { signal })))
      return to
    })
  }

  /**
   * Resolves once the running replicas have applied all that the primary has written so far; rejects with
   * `TESTKIT_ERR_TIMEOUT` after `timeout`.
   */
  waitForCatchup(options: PostgresCatchupOptions = {}): Promise<void> {
    return this.#run(options, async (signal) => {
      const timeout = optionReader('waitForCatchup').duration('timeout', options.timeout, 15_000)
      const lsn = await this.#written(signal)
      await Promise.all(this.#running().map((replica) => this.#applied(replica, lsn, signal, timeout)))
    })
  }

  /**
   * Makes the replica cancel every query and every transaction whose snapshot is older than now, as it must when
   * the primary cleans up rows that they could still see: SQLSTATE 40001, and for a session that is idle in its
   * transaction, the end of the connection. Resolves once the replica is past the conflict.
   */
  recoveryConflict(replica: PostgresNode, options: PostgresConflictOptions = {}): Promise<void> {
    return this.#run(options, async (signal) => {
      const { database = 'postgres' } = options
      const impatient = { max_standby_streaming_delay: 0, hot_standby_feedback: false }
      const patient = replica.configured(impatient)
      const inDatabase = { database, signal }
      const table = `cays_conflict_${process.hrtime.bigint()}`
      await replica.configure(impatient, { signal })
      try {
        await this.#primary.sql(`create table ${table} as select 1 as x`, inDatabase)
        await this.#primary.sql(`delete from ${table}`, inDatabase)
        await this.#primary.sql(`vacuum (freeze) ${table}`, inDatabase)
        await this.#primary.sql(`drop table ${table}`, inDatabase)
        await this.#applied(replica, await this.#written(signal), signal)
      } finally {
        await replica.configure(patient, { signal })
      }
    })
  }

  /** Ends every server and removes all data; idempotent. Verbs under way reject with `TESTKIT_ERR_CLOSED`. */
  close(): Promise<void> {
    return this.#context.lifecycle.close()
  }

  /** {@link close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** @internal */
  makeNode(): PostgresNode {
    const name = `n${this.#nodes.length}`
    const folder = join(this.#context.folder, name)
    makeFolderFor(this.#context.installation.account, folder)
    const node = new PostgresNode({
      ...this.#context,
      settings: { ...this.#context.settings, ...this.#synchronous },
      name,
      folder,
      promoted: (primary) => {
        this.#primary = primary
      },
    })
    this.#nodes.push(node)
    return node
  }

  #running(): readonly PostgresNode[] {
    return this.replicas.filter((replica) => replica.state === 'running')
  }

  async #mostAdvanced(signal: AbortSignal): Promise<PostgresNode> {
    const progress = await Promise.all(
      this.#running().map(async (replica) => ({ replica, bytes: await this.#received(replica, signal) })),
    )
    return progress.reduce((most, one) => (one.bytes > most.bytes ? one : most)).replica
  }

  // A replica that was just started says nothing of what it received before, until it has read that again; one
  // that lags reads it slowly, and is then judged by what it has applied.
  async #received(replica: PostgresNode, signal: AbortSignal): Promise<bigint> {
    const end = performance.now() + 2_000
    using session = await PostgresSession.open(replica.port, { signal })
    return await poll(
      async () => {
        const [row] = await session.query(
          `select pg_last_wal_receive_lsn() is not null as settled,
            pg_wal_lsn_diff(greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()), '0/0') as bytes`,
        )
        return (row?.settled === 't' || performance.now() > end) && BigInt(row?.bytes ?? 0)
      },
      { until: `${replica.name} knows what it has received`, signal },
    )
  }

  // Replicas get only what is flushed, and nothing flushes what was written without a synchronous commit for up
  // to seconds: hence a commit of our own first. It must not wait for replicas that may be away.
  async #written(signal: AbortSignal): Promise<string> {
    using session = await PostgresSession.open(this.#primary.port, { signal })
    await session.query('set synchronous_commit = local')
    await session.query(`select pg_logical_emit_message(true, 'cays', '')`)
    const [row] = await session.query('select pg_current_wal_flush_lsn() lsn')
    return row?.lsn ?? ''
  }

  async #applied(replica: PostgresNode, lsn: string, signal: AbortSignal, timeout = 15_000): Promise<void> {
    using session = await PostgresSession.open(replica.port, { signal })
    const query = `select pg_last_wal_replay_lsn() >= '${lsn}' as applied`
    await poll(async () => (await session.query(query))[0]?.applied === 't', {
      until: `${replica.name} has applied what the primary wrote`,
      timeout,
      interval: 5,
      signal,
    })
  }

  #run<T>(options: PostgresVerbOptions, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { lifecycle } = this.#context
    const { signal } = options
    return lifecycle.run(() => work(signal ? AbortSignal.any([signal, lifecycle.signal]) : lifecycle.signal))
  }
}
