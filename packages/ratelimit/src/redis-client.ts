import { messageOf } from '@cays/core/error'
import type { ScriptClient } from '@cays/core/redis-script'
import { type LimitError, LimitUnavailableError } from './errors.ts'

/** The part of an ioredis client this package uses; `Redis` and `Cluster` of versions 5 and 6 fit as they are. */
export interface RedisClient extends ScriptClient, Partial<BytesClient> {
  /** ioredis' connection state; only `reconnecting`, `close` and `end` matter here. */
  readonly status?: string
  /** True for a `Cluster`: calls are then split by partition. */
  readonly isCluster?: boolean
}

/** ioredis has these too, though its types do not: strings are answered as bytes, which text would not survive. */
interface BytesClient {
  /** `evalsha`, answered as bytes. */
  evalshaBuffer: ScriptClient['evalsha']
  /** `eval`, answered as bytes. */
  evalBuffer: ScriptClient['eval']
}

/** False for what cannot be an ioredis client. */
export function isRedisClient(client: Partial<RedisClient> | null | undefined): client is RedisClient {
  return typeof client?.evalsha === 'function' && typeof client.evalshaBuffer === 'function'
}

/** The client for scripts that answer with bytes. */
export function bytesClient(client: RedisClient): ScriptClient {
  const { evalshaBuffer, evalBuffer } = client as BytesClient
  return { evalsha: evalshaBuffer.bind(client), eval: evalBuffer.bind(client) }
}

/** False when a command could only wait for a connection that is known to be gone. */
export function connected(client: Pick<RedisClient, 'status'>): boolean {
  const { status } = client
  return status !== 'reconnecting' && status !== 'close' && status !== 'end'
}

const DENIED = /NOPERM|ACL failure|can't run this command|unknown command/i

/** What a call of Redis that failed means for its limits. */
export function failureOf(error: unknown): LimitError {
  if (error instanceof LimitUnavailableError) return error
  const cause = withoutCommand(error)
  if (DENIED.test(messageOf(error))) {
    return new LimitUnavailableError(
      'LIMIT_ERR_SCRIPTING_DENIED',
      'the Redis user may not run scripts or a command in them: allow the commands listed in the README',
      { cause },
    )
  }
  return new LimitUnavailableError('LIMIT_ERR_UNAVAILABLE', 'Redis could not decide', { cause })
}

// ioredis hangs the command on its errors, with the keys of all subjects in the batch.
function withoutCommand(error: unknown): unknown {
  if (!(error instanceof Error && 'command' in error)) return error
  const { name, message, stack = message } = error
  return Object.assign(new Error(message), { name, stack })
}
