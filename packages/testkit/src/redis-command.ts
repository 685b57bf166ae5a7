import { Socket } from 'node:net'
import { deadline } from '@cays/core/abort'
import { TestkitError } from './errors.ts'
import { type RawReply, ReplyReader } from './redis-reply.ts'

/** Where a Redis server listens, and who asks. */
export interface RedisTarget {
  readonly host: string
  readonly port: number
  readonly password?: string | undefined
}

/** One word of a command. */
export type RedisArgument = string | number | Buffer

/** A reply as text; an error reply is thrown instead. */
export type RedisReply = string | number | null | readonly RedisReply[]

export interface CommandOptions {
  readonly signal?: AbortSignal | undefined
  /** Milliseconds for all of it, connecting included. @default 5_000 */
  readonly timeout?: number
}

/**
 * Sends the commands in one go over a connection of its own and gives the replies in their order. No connection
 * is kept: nothing of the testkit's stands in `CLIENT LIST`, and a restarted server needs no reconnecting.
 *
 * Rejects with the socket's error when nothing listens, and with `TESTKIT_ERR_TIMEOUT` when the server is mute.
 */
export async function redisPipeline(
  target: RedisTarget,
  commands: readonly (readonly RedisArgument[])[],
  options: CommandOptions = {},
): Promise<readonly RawReply[]> {
  const { timeout = 5_000 } = options
  const login: readonly (readonly RedisArgument[])[] = target.password ? [['AUTH', target.password]] : []
  using limit = deadline(timeout, () => mute(target, timeout), options.signal)
  const replies = await exchange(target, [...login, ...commands], limit.signal)
  const refused = login.length > 0 ? replies[0] : undefined
  // A server without a password refuses AUTH and serves all the same.
  if (refused instanceof TestkitError && !refused.message.includes('without any password')) throw refused
  return replies.slice(login.length)
}

/** Sends one command; rejects with `TESTKIT_ERR_REPLY` when the server answers with an error. */
export async function redisCommand(
  target: RedisTarget,
  command: readonly RedisArgument[],
  options?: CommandOptions,
): Promise<RedisReply> {
  const [reply = null] = await redisPipeline(target, [command], options)
  return textOf(reply)
}

/** The reply as text; throws if it is, or holds, an error. */
export function textOf(reply: RawReply): RedisReply {
  if (reply instanceof TestkitError) throw reply
  if (Buffer.isBuffer(reply)) return reply.toString('utf8')
  if (typeof reply === 'number' || reply === null) return reply
  return reply.map(textOf)
}

function exchange(
  target: RedisTarget,
  commands: readonly (readonly RedisArgument[])[],
  signal: AbortSignal,
): Promise<RawReply[]> {
  return new Promise((resolve, reject) => {
    const reader = new ReplyReader()
    const replies: RawReply[] = []
    const socket = new Socket()
    const finish = (act: () => void) => {
      signal.removeEventListener('abort', abort)
      socket.destroy()
      act()
    }
    const abort = () => finish(() => reject(signal.reason))
    if (signal.aborted) return abort()
    signal.addEventListener('abort', abort, { once: true })
    socket.once('error', (error) => finish(() => reject(error)))
    socket.once('close', () => finish(() => reject(closedBy(target))))
    socket.on('data', (chunk) => {
      replies.push(...reader.read(chunk))
      if (replies.length >= commands.length) finish(() => resolve(replies))
    })
    socket.setNoDelay(true)
    socket.connect(target.port, target.host)
    socket.write(Buffer.concat(commands.map(encode)))
  })
}

function encode(command: readonly RedisArgument[]): Buffer {
  const parts: Buffer[] = [Buffer.from(`*${command.length}\r\n`)]
  for (const argument of command) {
    const bytes = Buffer.isBuffer(argument) ? argument : Buffer.from(String(argument))
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n'))
  }
  return Buffer.concat(parts)
}

function mute({ port }: RedisTarget, timeout: number): TestkitError {
  return new TestkitError(
    'TESTKIT_ERR_TIMEOUT',
    `the Redis on port ${port} did not answer within ${timeout} ms`,
  )
}

function closedBy({ port }: RedisTarget): TestkitError {
  return new TestkitError(
    'TESTKIT_ERR_REPLY',
    `the Redis on port ${port} closed the connection before it answered`,
  )
}
