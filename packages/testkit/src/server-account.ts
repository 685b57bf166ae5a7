import { spawnSync } from 'node:child_process'
import { chownSync, mkdirSync, statSync } from 'node:fs'
import { dirname } from 'node:path'

/** Whom a server runs as: empty for "as this process", or the ids of another account. */
export interface ServerAccount {
  readonly uid?: number
  readonly gid?: number
}

/**
 * Some servers, Postgres among them, refuse to run as root. For root this is the account `nobody`; it must be a
 * real account, since `initdb` looks up its name. For everybody else it is empty.
 */
export function unprivilegedAccount(): ServerAccount {
  if (process.getuid?.() !== 0) return {}
  const ask = (flag: string) => Number(spawnSync('id', [flag, 'nobody'], { encoding: 'utf8' }).stdout)
  const uid = ask('-u')
  const gid = ask('-g')
  return uid > 0 && Number.isInteger(gid) ? { uid, gid } : { uid: 65_534, gid: 65_534 }
}

/** Whether any account can reach the path: every folder above it lets others through. */
export function openToAll(path: string): boolean {
  for (let folder = path; ; folder = dirname(folder)) {
    try {
      if ((statSync(folder).mode & 0o001) === 0) return false
    } catch {
      return false
    }
    if (folder === dirname(folder)) return true
  }
}

/** Makes a folder that only the account may enter. */
export function makeFolderFor({ uid, gid }: ServerAccount, path: string): void {
  mkdirSync(path, { mode: 0o700 })
  if (uid !== undefined && gid !== undefined) chownSync(path, uid, gid)
}
