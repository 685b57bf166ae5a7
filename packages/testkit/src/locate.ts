import { accessSync, constants, statSync } from 'node:fs'
import { delimiter, isAbsolute, join } from 'node:path'
import { TestkitError } from './errors.ts'

export interface Program {
  /** What people call it, for the message: `Redis`. */
  readonly title: string
  /** Names of the executable, the preferred one first. */
  readonly names: readonly string[]
  /** An environment variable that may hold the path of the executable or of its folder. */
  readonly variable?: string
  /** Folders to look in after PATH. */
  readonly folders?: readonly string[]
  /** The commands that install it. */
  readonly install: { readonly debian: string; readonly mac: string }
}

/** The absolute path of the program's executable, or `undefined`. */
export function locate(program: Program): string | undefined {
  const chosen = program.variable ? process.env[program.variable] : undefined
  if (chosen) return executable(chosen) ? chosen : firstOf(program.names, [chosen])
  const path = (process.env.PATH ?? '').split(delimiter).filter(isAbsolute)
  return firstOf(program.names, [...path, ...(program.folders ?? [])])
}

/** As {@link locate}; throws `TESTKIT_ERR_SERVER_MISSING` with the command that installs the program. */
export function mustLocate(program: Program): string {
  const found = locate(program)
  if (found) return found
  const command = process.platform === 'darwin' ? program.install.mac : program.install.debian
  const hint = program.variable ? `, or set ${program.variable} to its path` : ''
  throw new TestkitError(
    'TESTKIT_ERR_SERVER_MISSING',
    `${program.title} is not on this machine: install it with "${command}"${hint}`,
  )
}

function firstOf(names: readonly string[], folders: readonly string[]): string | undefined {
  for (const name of names) {
    const folder = folders.find((candidate) => executable(join(candidate, name)))
    if (folder !== undefined) return join(folder, name)
  }
  return undefined
}

function executable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}
