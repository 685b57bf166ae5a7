interface PageEvents {
  addEventListener?(type: string, listener: (event: { readonly persisted?: boolean }) => void): void
  removeEventListener?(type: string, listener: (event: { readonly persisted?: boolean }) => void): void
  readonly document?: PageEvents & { readonly visibilityState?: string }
}

/**
 * Tells when a page may have slept (network back, tab shown, restored from the back/forward cache), and
 * when it is put aside: a page with an open socket is not kept in that cache. Silent outside browsers.
 */
export function onWake(callbacks: { readonly wake: () => void; readonly hide: () => void }): () => void {
  const page = globalThis as PageEvents
  const { document } = page
  if (!page.addEventListener || !document) return () => {}
  const { wake, hide } = callbacks
  const visible = () => document.visibilityState === 'visible' && wake()
  const events = [
    [page, 'online', wake],
    [page, 'pageshow', wake],
    [page, 'pagehide', hide],
    [document, 'visibilitychange', visible],
  ] as const
  for (const [target, type, listener] of events) target.addEventListener?.(type, listener)
  return () => {
    for (const [target, type, listener] of events) target.removeEventListener?.(type, listener)
  }
}
