/** The router of a test that failed is closed under its loops, which must end then instead of spinning for ever. */
export function closed(error: unknown): boolean {
  return (error as { code?: unknown } | null)?.code === 'DB_ERR_CLOSED'
}
