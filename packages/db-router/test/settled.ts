import { vi } from 'vitest'
import type { Router } from '../src/index.ts'

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
    { timeout: 15_000, interval: 20 },
  )
}
