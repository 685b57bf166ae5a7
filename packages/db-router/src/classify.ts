import { NOT_CALLS, PER_SERVER, SAFE_FUNCTIONS } from './known-functions.ts'
import { lex } from './sql-lexer.ts'

/**
 * - `read`: writes nothing, locks nothing, leaves no state, provided the functions in `unknown` are harmless.
 * - `write`: INSERT, UPDATE, DELETE or MERGE, or a SELECT that locks or writes.
 * - `begin`, `commit`, `rollback`: limits of a transaction. `savepoint`: a step inside one.
 * - `session`: leaves state in the connection (SET, PREPARE, LISTEN, cursors, temporary tables, advisory locks).
 * - `other`: everything else, DDL and utilities included. What cannot be read with certainty is `other`.
 */
export type StatementKind =
  | 'read'
  | 'write'
  | 'begin'
  | 'commit'
  | 'rollback'
  | 'savepoint'
  | 'session'
  | 'other'

/** What the text of a statement says about where it may run. */
export interface Statement {
  readonly kind: StatementKind
  /** The first word, in upper case, when it is a known command; `'OTHER'` else. A bounded set, for telemetry. */
  readonly command: string
  /** Why it has this kind, for `explain`. */
  readonly reason: string
  /** Every function a read calls by name. A function of the user's with the same name may change the verdict. */
  readonly calls: readonly string[]
  /** Those of `calls` that are no function of Postgres known to be harmless. */
  readonly unknown: readonly string[]
  /** One statement only. Several in one text run as one implicit transaction, unless they say otherwise. */
  readonly single: boolean
  /** For `begin`: the transaction declares READ ONLY and an isolation level that a replica offers. */
  readonly readOnly: boolean
}

const COMMANDS: ReadonlyMap<string, StatementKind> = new Map([
  ...kinds('read', 'select values table with explain ('),
  ...kinds('write', 'insert update delete merge'),
  ...kinds('begin', 'begin start'),
  ...kinds('commit', 'commit end'),
  ...kinds('rollback', 'rollback abort'),
  ...kinds('savepoint', 'savepoint release'),
  ...kinds(
    'session',
    'set reset discard load listen unlisten prepare execute deallocate declare fetch move close lock show',
  ),
  ...kinds(
    'other',
    `alter analyze analyse call checkpoint cluster comment copy create do drop grant import notify reassign
    reindex refresh revoke security truncate vacuum wait repack`,
  ),
])

function kinds(kind: StatementKind, words: string): [string, StatementKind][] {
  return words.split(/\s+/).map((word) => [word, kind])
}

const NONE: readonly string[] = []

function verdict(kind: StatementKind, command: string, reason: string, single = true): Statement {
  return { kind, command, reason, calls: NONE, unknown: NONE, single, readOnly: false }
}

/**
 * Classifies one text by its words alone. Safe by construction: the verdict is `read` only when every word
 * has been accounted for; a doubt is never a read. It knows nothing of views or operators that call
 * functions with side effects; on a replica those are refused by the server and the router learns from it.
 */
export function classify(sql: string): Statement {
  const words = lex(sql)
  if (!words) return verdict('other', 'OTHER', 'the text cannot be read with certainty', false)
  let length = words.length
  while (length > 0 && words[length - 1] === ';') length--
  words.length = length
  let first = 0
  while (words[first] === ';') first++
  const leading = words[first]
  if (leading === undefined) return verdict('other', 'OTHER', 'empty statement')
  const kind = COMMANDS.get(leading)
  const command = kind && leading !== '(' ? leading.toUpperCase() : kind ? 'SELECT' : 'OTHER'
  if (!kind) return verdict('other', command, 'not a command known to read', !words.includes(';', first))
  if (words.includes(';', first)) return verdict('other', command, 'several statements in one text', false)
  switch (kind) {
    case 'read':
      return classifyRead(words, first, command)
    case 'begin':
      return {
        ...verdict('begin', command, 'begins a transaction'),
        readOnly: beginsReadOnly(words),
      }
    case 'commit':
      return words[first + 1] === 'prepared'
        ? verdict('other', command, 'two-phase commit')
        : verdict('commit', command, 'ends a transaction')
    case 'rollback':
      if (words[first + 1] === 'prepared') return verdict('other', command, 'two-phase commit')
      return words.includes('to', first)
        ? verdict('savepoint', command, 'returns to a savepoint')
        : verdict('rollback', command, 'ends a transaction')
    case 'session':
      if (leading === 'prepare' && words[first + 1] === 'transaction')
        return verdict('commit', command, 'prepares a two-phase commit')
      return verdict('session', command, `${command} depends on the connection or changes it`)
    default:
      return verdict(kind, command, `${command} is not a read`)
  }
}

function beginsReadOnly(words: readonly string[]): boolean {
  let readOnly = false
  for (let at = 0; at < words.length; at++) {
    if (words[at] === 'serializable') return false
    if (words[at] === 'read' && words[at + 1] === 'only') readOnly = true
    if (words[at] === 'read' && words[at + 1] === 'write') return false
  }
  return readOnly
}

function classifyRead(words: readonly string[], first: number, command: string): Statement {
  let start = first
  if (words[start] === 'explain') {
    start = afterExplain(words, start + 1)
    const inner = words[start]
    if (inner !== '(' && inner !== 'select' && inner !== 'values' && inner !== 'table' && inner !== 'with') {
      return verdict('other', command, 'EXPLAIN of something else than a query')
    }
  }
  const calls: string[] = []
  const unknown: string[] = []
  let prefixed: boolean | undefined
  let commonTables: ReadonlyMap<number, number> | undefined
  for (let at = start; at < words.length; at++) {
    const word = words[at] as string
    // Few words matter, and their first letter tells most of the others apart.
    const code = word.charCodeAt(0)
    if (SUSPECT[code] === 1) {
      const reason = writes(words, at)
      if (reason) return verdict('write', command, reason)
      if (namesServer(code, word)) return verdict('other', command, 'asks about the server itself')
    }
    if (words[at + 1] !== '(' || !isWord(code)) continue
    const before = words[at - 1]
    prefixed ??= hasPair(words, 'distinct', 'on') || hasPair(words, 'operator', '(')
    if (before === ',') commonTables ??= words.includes('with', start) ? closings(words) : NO_CLOSINGS
    const name = word.startsWith('"') ? word.slice(1) : word
    const qualified = before === '.'
    const schema = qualified ? words[at - 2] : undefined
    if (!qualified && name === word && NOT_CALLS.has(word)) continue
    if (isAlias(words, at, prefixed, commonTables)) continue
    const builtin = SAFE_FUNCTIONS.has(name) && (!qualified || schema === 'pg_catalog')
    calls.push(name)
    if (!builtin) unknown.push(name)
  }
  return {
    kind: 'read',
    command,
    reason: unknown.length > 0 ? 'a query that calls functions of yours' : 'a query that only reads',
    calls: calls.length > 0 ? calls : NONE,
    unknown: unknown.length > 0 ? unknown : NONE,
    single: true,
    readOnly: false,
  }
}

/** First letters of INSERT, INTO, UPDATE, DELETE, MERGE and FOR, of names of the server's own, and the quote. */
const SUSPECT = new Uint8Array(65_536)
for (const letter of 'iudmfp"') SUSPECT[letter.charCodeAt(0)] = 1

const NO_CLOSINGS: ReadonlyMap<number, number> = new Map()

/** Why the word at `at` makes the statement one that writes or locks, if it does. */
function writes(words: readonly string[], at: number): string | undefined {
  const word = words[at] as string
  switch (word) {
    case 'insert':
    case 'update':
    case 'delete':
    case 'merge': {
      const before = words[at - 1]
      return before === 'as' || before === '.' ? undefined : `contains ${word.toUpperCase()}`
    }
    case 'into':
      return 'contains INTO'
    case 'for': {
      const next = words[at + 1]
      const locks = next === 'update' || next === 'share' || next === 'key' || next === 'no'
      return locks ? 'locks rows' : undefined
    }
    default:
      return undefined
  }
}

/** The word after EXPLAIN's options, in both their forms. */
function afterExplain(words: readonly string[], start: number): number {
  let at = start
  while (words[at] === 'analyze' || words[at] === 'analyse' || words[at] === 'verbose') at++
  if (words[at] !== '(' || isQueryStart(words[at + 1])) return at
  return (closings(words).get(at) ?? words.length) + 1
}

function isQueryStart(word: string | undefined): boolean {
  return word === 'select' || word === 'with' || word === 'values' || word === 'table' || word === '('
}

/** For each opening parenthesis, where it closes. */
function closings(words: readonly string[]): ReadonlyMap<number, number> {
  const found = new Map<number, number>()
  const open: number[] = []
  for (let at = 0; at < words.length; at++) {
    if (words[at] === '(') open.push(at)
    else if (words[at] === ')') {
      const start = open.pop()
      if (start !== undefined) found.set(start, at)
    }
  }
  return found
}

function namesServer(code: number, word: string): boolean {
  return (code === 112 || code === 34) && PER_SERVER.test(word)
}

function isWord(code: number): boolean {
  return (
    (code >= 97 && code <= 122) || code === 95 || code === 34 || code >= 128 || (code >= 65 && code <= 90)
  )
}

function hasPair(words: readonly string[], one: string, two: string): boolean {
  for (let at = words.indexOf(one); at >= 0; at = words.indexOf(one, at + 1)) {
    if (words[at + 1] === two) return true
  }
  return false
}

/**
 * True for a name before a parenthesis that is certainly no call: an alias or CTE with a list of columns, a
 * type with a length. Names of the server's own functions are never taken for one. `prefixed`: the text has a
 * parenthesis that an expression follows, DISTINCT ON (…) or OPERATOR(…).
 */
function isAlias(
  words: readonly string[],
  at: number,
  prefixed: boolean,
  closings: ReadonlyMap<number, number> | undefined,
): boolean {
  const word = words[at] as string
  if (word.startsWith('pg_') || word.startsWith('"pg_') || word.includes('val') || word.includes('config')) {
    return false
  }
  const before = words[at - 1]
  if (before === 'as' || before === 'recursive' || before === 'with' || before === '::') return true
  if (before === '.') return words[at - 3] === '::'
  if (before === ')') return !prefixed
  if (before === ',' && closings && closings.size > 0)
    return opensCommonTable(words, (closings.get(at + 1) ?? words.length) + 1)
  return false
}

function opensCommonTable(words: readonly string[], start: number): boolean {
  let at = start
  if (words[at++] !== 'as') return false
  if (words[at] === 'not') at++
  if (words[at] === 'materialized') at++
  if (words[at++] !== '(') return false
  const opening = words[at]
  return opening === 'select' || opening === 'with' || (opening === 'values' && words[at + 1] === '(')
}

const STATE_ONLY = new Set([
  'SET',
  'RESET',
  'SHOW',
  'DISCARD',
  'LISTEN',
  'UNLISTEN',
  'DEALLOCATE',
  'CLOSE',
  'LOCK',
])

/** True unless the statement certainly leaves the data as it is. */
export function mayWrite(statement: Statement): boolean {
  const { kind, command, single } = statement
  if (!single) return true
  if (kind === 'session') return !STATE_ONLY.has(command)
  return kind !== 'begin' && kind !== 'rollback' && kind !== 'savepoint'
}
