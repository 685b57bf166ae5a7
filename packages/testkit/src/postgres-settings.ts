/** Server settings by name, as in `postgresql.conf`; `undefined` goes back to the default. */
export type PostgresSettings = Readonly<Record<string, string | number | boolean | undefined>>

/** What makes a server small and quick, at the price of surviving a crash of the machine. */
export function defaultSettings(major: number): PostgresSettings {
  return {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    fsync: false,
    full_page_writes: false,
    shared_buffers: '16MB',
    huge_pages: false,
    jit: false,
    max_connections: 100,
    wal_level: 'replica',
    max_wal_senders: 10,
    wal_keep_size: '64MB',
    max_wal_size: '256MB',
    hot_standby: true,
    wal_receiver_status_interval: '1s',
    wal_retrieve_retry_interval: '100ms',
    // In the data folder, which is removed; in /dev/shm they would stay after a kill.
    dynamic_shared_memory_type: 'mmap',
    logging_collector: false,
    log_destination: 'stderr',
    log_checkpoints: false,
    log_timezone: 'UTC',
    timezone: 'UTC',
    default_text_search_config: 'pg_catalog.english',
    ...(major >= 18 ? { io_method: 'sync' } : {}),
  }
}

/** The text of a configuration file. */
export function renderSettings(settings: PostgresSettings): string {
  return Object.entries(settings)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name} = '${written(value).replaceAll("'", "''").replaceAll('\\', '\\\\')}'\n`)
    .join('')
}

function written(value: string | number | boolean | undefined): string {
  return typeof value === 'boolean' ? (value ? 'on' : 'off') : String(value)
}
