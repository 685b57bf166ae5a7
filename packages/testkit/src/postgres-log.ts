import { closeSync, ftruncateSync, openSync, readSync, statSync } from 'node:fs'
import { CONTROL_APPLICATION } from './postgres-session.ts'

/** One entry of a server's log. */
export interface PostgresLogEntry {
  readonly at: Date
  /** The backend: what `select pg_backend_pid()` answers in the session that caused the entry. */
  readonly pid: number
  readonly database: string
  /** `application_name` of the session. */
  readonly application: string
  /** `LOG`, `WARNING`, `ERROR`, `FATAL`, … */
  readonly severity: string
  readonly message: string
  /** The text of the statement, when the entry records one (`logStatements`) or was caused by one. */
  readonly statement?: string
  /** The server's further words: parameters of a statement, conflicting rows. */
  readonly detail?: string
}

/** Servers write their log with this `log_line_prefix`; continued lines begin with a tab instead. */
export const LOG_LINE_PREFIX = '%n\t%p\t%d\t%a\t'

const HEAD = /^(\d+\.\d+)\t(\d+)\t([^\t]*)\t([^\t]*)\t([A-Z]+\d*): {2}(.*)$/s
const STATEMENT = /^(?:statement|execute [^:]*|execute fetch from [^:]*): (.*)$/s
const BYTES_READ = 16 * 1024 * 1024

/** The last entries of a log file (at most 16 MiB of it), without those of the launcher's own sessions. */
export function readPostgresLog(path: string): readonly PostgresLogEntry[] {
  return parsePostgresLog(readTail(path, BYTES_READ))
}

export function parsePostgresLog(text: string): readonly PostgresLogEntry[] {
  const entries: { -readonly [Name in keyof PostgresLogEntry]: PostgresLogEntry[Name] }[] = []
  for (const line of text.split(/\n(?!\t)/)) {
    const match = HEAD.exec(line)
    if (!match) continue
    const [, at, pid, database = '', application = '', severity = '', rest = ''] = match
    if (application === CONTROL_APPLICATION) continue
    const message = rest.replaceAll('\n\t', '\n').replace(/\n$/, '')
    const previous = entries.findLast((entry) => entry.pid === Number(pid))
    if (previous && severity === 'DETAIL') previous.detail = message
    else if (previous && severity === 'STATEMENT') previous.statement = message
    else if (!/^(HINT|CONTEXT|QUERY|LOCATION|DETAIL|STATEMENT)$/.test(severity)) {
      const statement = severity === 'LOG' ? STATEMENT.exec(message)?.[1] : undefined
      const head = {
        at: new Date(Number(at) * 1_000),
        pid: Number(pid),
        database,
        application,
        severity,
        message,
      }
      entries.push(statement === undefined ? head : { ...head, statement })
    }
  }
  return entries
}

/** The last `bytes` of a text file, from the beginning of a line; empty when there is no file. */
export function readTail(path: string, bytes: number): string {
  let file: number
  try {
    file = openSync(path, 'r')
  } catch {
    return ''
  }
  try {
    const { size } = statSync(path)
    const start = Math.max(0, size - bytes)
    const buffer = Buffer.alloc(size - start)
    const text = buffer.toString('utf8', 0, readSync(file, buffer, 0, buffer.length, start))
    return start === 0 ? text : text.slice(text.indexOf('\n') + 1)
  } finally {
    closeSync(file)
  }
}

/** Empties a log that a running server goes on appending to. */
export function truncateLog(path: string): void {
  const file = openSync(path, 'r+')
  try {
    ftruncateSync(file)
  } finally {
    closeSync(file)
  }
}
