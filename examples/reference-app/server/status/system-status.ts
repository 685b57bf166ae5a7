import type { DemoActionName, NodeStatus, SystemStatus } from '../../contract/status.ts'
import { HttpProblem } from '../http/problem.ts'

export interface SystemStatusSource {
  /** This node alone. */
  own(): NodeStatus
  /** This node and those of its peers that answer. */
  system(): Promise<SystemStatus>
  /** Breaks or heals something in the demo; refused elsewhere. */
  act(name: DemoActionName): Promise<SystemStatus>
}

export interface SystemStatusOptions {
  readonly own: () => NodeStatus
  /** Internal URLs of the other nodes. */
  readonly peers: readonly string[]
  /** The demo's stack, which knows what can be broken; absent outside `npm start`. */
  readonly demo: { readonly url: string; readonly secret: string } | undefined
}

const PEER_TIMEOUT = 400

/** Nodes ask each other directly: the picture has to stay live exactly when Redis does not. */
export function createSystemStatus({ own, peers, demo }: SystemStatusOptions): SystemStatusSource {
  const actions = async (): Promise<SystemStatus['actions']> => {
    if (!demo) return []
    try {
      const answer = await fetch(`${demo.url}/actions`, {
        headers: { authorization: demo.secret },
        signal: AbortSignal.timeout(PEER_TIMEOUT),
      })
      return answer.ok ? ((await answer.json()) as SystemStatus['actions']) : []
    } catch {
      return []
    }
  }
  const system = async (): Promise<SystemStatus> => {
    const [others, available] = await Promise.all([Promise.all(peers.map(peerStatus)), actions()])
    return {
      at: new Date().toISOString(),
      nodes: [own(), ...others.flat()].sort((a, b) => (a.name < b.name ? -1 : 1)),
      actions: available,
    }
  }
  return {
    own,
    system,
    async act(name) {
      if (!demo) throw new HttpProblem('not-found')
      const answer = await fetch(`${demo.url}/actions/${name}`, {
        method: 'POST',
        headers: { authorization: demo.secret },
        signal: AbortSignal.timeout(20_000),
      })
      if (!answer.ok) throw new HttpProblem('unavailable', { detail: await answer.text(), retryAfter: 1 })
      return await system()
    },
  }
}

async function peerStatus(url: string): Promise<NodeStatus[]> {
  try {
    const answer = await fetch(`${url}/api/v1/status/node`, { signal: AbortSignal.timeout(PEER_TIMEOUT) })
    return answer.ok ? [(await answer.json()) as NodeStatus] : []
  } catch {
    return []
  }
}
