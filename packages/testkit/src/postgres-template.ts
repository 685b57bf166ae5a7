import { createHash } from 'node:crypto'
import { copyFileSync, existsSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { superviseFolder } from './guardian.ts'
import type { PostgresInstallation } from './postgres-installation.ts'
import { runProgram, serverEnvironment } from './run-program.ts'
import { cacheFolder, makeScratchFolder } from './scratch-folder.ts'

// A standby refuses to start with less of these than the control file it was copied with, so the template says
// the least; a server may always start with more.
const SMALLEST = {
  max_connections: 4,
  max_worker_processes: 0,
  max_wal_senders: 0,
  max_prepared_transactions: 0,
  max_locks_per_transaction: 10,
}

/**
 * The path of an archive of a fresh data folder, made once per build of Postgres: unpacking takes a tenth of
 * what `initdb` takes. One file, so that it is there whole or not at all.
 */
export async function postgresTemplate(installation: PostgresInstallation): Promise<string> {
  const { bin, major, build, account } = installation
  const args = initdbArguments(major)
  const key = createHash('sha256')
    .update(JSON.stringify([build, args, SMALLEST, account]))
    .digest('hex')
  const path = join(cacheFolder(account), `postgres-${major}-template-${key.slice(0, 12)}.tar`)
  if (existsSync(path)) return path

  const work = makeScratchFolder('cays-template-', 64, account)
  using _ = superviseFolder(work)
  try {
    const data = join(work, 'data')
    const asServer = { ...account, cwd: work, env: serverEnvironment() }
    await runProgram(join(bin, 'initdb'), ['-D', data, ...args], asServer)
    const settings = Object.entries({ ...SMALLEST, wal_level: 'replica', fsync: 'off' })
    const single = settings.flatMap(([name, value]) => ['-c', `${name}=${value}`])
    await runProgram(join(bin, 'postgres'), ['--single', '-D', data, ...single, 'postgres'], asServer)
    await runProgram('tar', ['-C', data, '-cf', join(work, 'template.tar'), '.'], asServer)
    const draft = `${path}.${process.pid}.draft`
    copyFileSync(join(work, 'template.tar'), draft)
    renameSync(draft, path)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
  return path
}

/** Unpacks a template into a folder that is there, is empty and belongs to the account. */
export function unpackTemplate(
  template: string,
  data: string,
  installation: PostgresInstallation,
): Promise<void> {
  return runProgram('tar', ['-C', data, '-xpf', template], {
    ...installation.account,
    cwd: data,
    env: serverEnvironment(),
  })
}

function initdbArguments(major: number): readonly string[] {
  const locale =
    major >= 17
      ? ['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8']
      : [process.platform === 'linux' ? '--locale=C.UTF-8' : '--locale=C']
  return ['-U', 'postgres', '-A', 'trust', '-E', 'UTF8', ...locale, '--wal-segsize=1', '--no-sync']
}
