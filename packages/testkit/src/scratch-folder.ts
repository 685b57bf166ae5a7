import {
  accessSync,
  chmodSync,
  chownSync,
  constants,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  statfsSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TestkitError } from './errors.ts'
import { openToAll, type ServerAccount } from './server-account.ts'

const MEBIBYTE = 1024 * 1024

/**
 * A new empty folder that belongs to the account: in memory (`/dev/shm`) when `mebibytes` and as much again are
 * free there, else in the system's folder for temporary files.
 */
export function makeScratchFolder(prefix: string, mebibytes: number, account: ServerAccount = {}): string {
  const parent = roomyMemory(mebibytes * 2) ? '/dev/shm' : temporaryRoot(account)
  const folder = mkdtempSync(join(parent, prefix))
  if (account.uid !== undefined && account.gid !== undefined) chownSync(folder, account.uid, account.gid)
  return folder
}

/**
 * The folder that keeps what is costly to make again: staged programs and templates. One per user; refused when
 * somebody else owns it or may write to it, because programs are run from it.
 */
export function cacheFolder(account: ServerAccount): string {
  const own = process.getuid?.() ?? 0
  const folder = join(temporaryRoot(account), `cays-testkit-${own}`)
  mkdirSync(folder, { recursive: true, mode: 0o755 })
  const { uid, mode } = lstatSync(folder)
  const foreign = process.getuid !== undefined && uid !== own
  if (foreign || (mode & 0o022) !== 0 || !lstatSync(folder).isDirectory()) {
    throw new TestkitError(
      'TESTKIT_ERR_START_FAILED',
      `another user owns or may write to ${folder}: remove it, or set TMPDIR to a folder of your own`,
    )
  }
  if (account.uid !== undefined) chmodSync(folder, 0o755)
  return folder
}

function temporaryRoot(account: ServerAccount): string {
  // Root's TMPDIR may lie in a folder that the server's account cannot pass.
  const candidates = account.uid === undefined ? [tmpdir()] : [tmpdir(), '/tmp', '/var/tmp']
  return candidates.find((folder) => account.uid === undefined || openToAll(folder)) ?? '/tmp'
}

function roomyMemory(mebibytes: number): boolean {
  if (process.platform !== 'linux') return false
  try {
    accessSync('/dev/shm', constants.W_OK)
    const { bavail, bsize } = statfsSync('/dev/shm')
    return (bavail * bsize) / MEBIBYTE >= mebibytes
  } catch {
    return false
  }
}
