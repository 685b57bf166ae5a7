import { vi } from 'vitest'
import type { Router, RouterOptions } from '../src/index.ts'

/** For tests whose subject is not time: on a machine that others keep busy nothing gives up on its servers. */
export const PATIENT = {
  pool: { connectionTimeoutMillis: 60_000 },
  health: { timeout: '20s' },
  wait: { budget: '60s' },
  buffer: { window: '60s' },
  fallback: { wait: '120s' },
} as const satisfies Partial<RouterOptions>

/** Until the router knows a primary and that many replicas serve reads. */
export async function settled(router: Router, replicas: number): Promise<void> {
  await vi.waitFor(
    () => {
      const servers = router.topology()
      const fresh = servers.filter(
        (server) => server.staleness !== undefined && server.position !== undefined,
      )
      if (fresh.length < replicas || !servers.some((server) => server.primary)) throw new Error('not settled')
    },
    { timeout: 60_000, interval: 20 },
  )
}
