import { chown, copyFile, mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PostgresSession } from './postgres-session.ts'
import type { ServerAccount } from './server-account.ts'

const NOT_COPIED =
  /^(postmaster\.(pid|opts)|standby\.signal|backup_label(\.old)?|tablespace_map|pgsql_tmp.*)$/
const LEFT_EMPTY =
  /^(pg_wal|pg_replslot|pg_dynshmem|pg_stat_tmp|pg_notify|pg_serial|pg_snapshots|pg_subtrans)$/

/**
 * Copies the data of the server that runs on that port into `data`, an empty folder, ready to be started as its standby: the low
 * level backup of the Postgres manual, as the packaged binaries hold no `pg_basebackup`.
 */
export async function copyRunningServer(
  port: number,
  data: string,
  account: ServerAccount,
  signal?: AbortSignal,
): Promise<void> {
  using session = await PostgresSession.open(port, { signal })
  const [found] = await session.query('show data_directory')
  await session.query(`select pg_backup_start('cays-testkit', true)`)
  await copyFolder(found?.data_directory ?? '', data, account, '')
  const [stopped] = await session.query('select labelfile from pg_backup_stop(false)')
  await give(join(data, 'backup_label'), stopped?.labelfile ?? '', account)
}

/** Writes a file that belongs to the server's account and is closed to others. */
export async function give(path: string, content: string, account: ServerAccount): Promise<void> {
  await writeFile(path, content, { mode: 0o600 })
  await own(path, account)
}

async function own(path: string, { uid, gid }: ServerAccount): Promise<void> {
  if (uid !== undefined && gid !== undefined) await chown(path, uid, gid)
}

async function copyFolder(from: string, to: string, account: ServerAccount, above: string): Promise<void> {
  for (const entry of await readdir(from, { withFileTypes: true })) {
    if (NOT_COPIED.test(entry.name)) continue
    const source = join(from, entry.name)
    const target = join(to, entry.name)
    if (entry.isDirectory()) {
      await mkdir(target, { mode: 0o700 })
      await own(target, account)
      if (above === '' && LEFT_EMPTY.test(entry.name)) continue
      await copyFolder(source, target, account, entry.name)
    } else if (entry.isFile()) {
      try {
        await copyFile(source, target)
        await own(target, account)
      } catch (error) {
        // Files of dropped tables vanish while we copy; replay of the log knows they are gone.
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      }
    }
  }
}
