import { z } from 'zod'

/** One read or write of the recent past, as it went through the system. */
export interface RequestTrace {
  readonly id: string
  readonly at: string
  readonly node: string
  /** Route pattern such as `GET /api/v1/jobs`, never a real path. */
  readonly route: string
  readonly status: number
  /** Milliseconds. */
  readonly took: number
  readonly cache: 'l1' | 'l2' | 'load' | 'stale' | null
  /** Which database servers answered, by the names of {@link DatabaseStatus}. */
  readonly databases: readonly string[]
  readonly limited: boolean
}

export interface DatabaseStatus {
  /** Stays with the server when roles change: `db-1`, `db-2` … */
  readonly name: string
  readonly role: 'primary' | 'replica' | 'unknown'
  readonly up: boolean
  /** Bytes of log behind the primary; `null` when unknown. */
  readonly lagBytes: number | null
  readonly lagMilliseconds: number | null
}

export interface NodeStatus {
  readonly name: string
  readonly state: 'ready' | 'draining'
  readonly startedAt: string
  readonly sockets: number
  readonly rooms: number
  /** Bytes. */
  readonly memory: number
  readonly cache: { readonly l1: number; readonly l2: number; readonly load: number; readonly stale: number }
  readonly limiter: { readonly allowed: number; readonly denied: number }
  readonly redis: 'up' | 'down' | 'none'
  readonly bucket: 'up' | 'down'
  readonly databases: readonly DatabaseStatus[]
  readonly recent: readonly RequestTrace[]
}

export interface SystemStatus {
  readonly at: string
  readonly nodes: readonly NodeStatus[]
  /** Things the visitor may break; empty unless the demo stack runs under `npm start`. */
  readonly actions: readonly DemoAction[]
}

export const DEMO_ACTIONS = [
  'kill-replica',
  'add-lag',
  'stop-redis',
  'restart-node',
  'freeze-replica',
  'heal',
] as const
export const demoActionSchema = z.enum(DEMO_ACTIONS)
export type DemoActionName = z.infer<typeof demoActionSchema>

export interface DemoAction {
  readonly name: DemoActionName
  readonly label: string
  /** What to watch for after pressing it. */
  readonly expect: string
  readonly active: boolean
}
