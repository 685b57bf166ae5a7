import { parseSync } from 'libpg-query'

/**
 * What Postgres' own parser says about a text: `read` when the tree holds nothing but queries without INTO and
 * locks, all their functions are Postgres' own and harmless, and no relation describes one server.
 * `undefined` when it does not parse.
 */
export function judge(sql: string): 'read' | 'other' | undefined {
  let tree: { stmts?: readonly { stmt: Record<string, unknown> }[] }
  try {
    tree = parseSync(sql) as never
  } catch {
    return undefined
  }
  const statements = tree.stmts ?? []
  if (statements.length !== 1) return 'other'
  const [statement] = statements as [{ stmt: Record<string, unknown> }]
  const explained = statement.stmt.ExplainStmt as { query?: Record<string, unknown> } | undefined
  const root = explained ? explained.query : statement.stmt
  if (!root || !('SelectStmt' in root)) return 'other'
  return harmless(root) ? 'read' : 'other'
}

const WRITING = new Set([
  'InsertStmt',
  'UpdateStmt',
  'DeleteStmt',
  'MergeStmt',
  'IntoClause',
  'LockingClause',
])
const PER_SERVER =
  /^pg_(stat|locks|cursors|prepared|settings|replication_slots|hba|file_settings|shmem|backend)/

function harmless(node: unknown): boolean {
  if (Array.isArray(node)) return node.every(harmless)
  if (typeof node !== 'object' || node === null) return true
  return Object.entries(node).every(([key, value]) => {
    if (WRITING.has(key) || key === 'intoClause' || key === 'lockingClause') return false
    if (key === 'FuncCall' && !harmlessCall(value as { funcname: readonly { String: { sval: string } }[] }))
      return false
    if (key === 'RangeVar' && PER_SERVER.test((value as { relname: string }).relname)) return false
    return harmless(value)
  })
}

function harmlessCall(call: { readonly funcname: readonly { String: { sval: string } }[] }): boolean {
  const names = call.funcname.map((name) => name.String.sval)
  const name = names.at(-1) as string
  const schema = names.length > 1 ? names[0] : undefined
  if (schema !== undefined && schema !== 'pg_catalog') return false
  // Postgres' own are in lower case; spelled differently in quotes it is another function.
  return !HAZARDS.test(name) && !/[A-Z]/.test(name)
}

/** Functions of Postgres 15 that are volatile or act on the connection or server, and every name of the user's. */
const HAZARDS = new RegExp(
  `^(?:my_.*|My.*|.*dblink.*|nextval|setval|currval|lastval|set_config|setseed|txid_.*|query_to_.*|cursor_to_.*|lo_.*|loread|lowrite
  |pg_advisory_.*|pg_try_advisory_.*|pg_notify|pg_current_xact_id|pg_export_snapshot|pg_backend_pid|pg_cancel_backend
  |pg_terminate_backend|pg_reload_conf|pg_rotate_logfile|pg_switch_wal|pg_create_.*|pg_drop_.*|pg_copy_.*|pg_logical_.*|pg_promote
  |pg_wal_replay_.*|pg_stat_.*|pg_read_.*|pg_ls_.*|pg_replication_.*|pg_backup_.*|pg_log_.*|pg_import_.*|ts_stat|ts_rewrite
  |brin_.*|gin_clean.*|pg_sleep.*|pg_nextoid|pg_listening_channels|table_to_xml.*|schema_to_xml.*|database_to_xml.*)$`.replace(
    /\s+/g,
    '',
  ),
)
