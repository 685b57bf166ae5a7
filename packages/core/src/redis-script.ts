import { createHash } from 'node:crypto'

/** What a script takes as key or argument. */
export type ScriptArgument = string | number | Buffer

/**
 * The part of a Redis client that runs scripts; ioredis 5 and 6, `Redis` and `Cluster`, fit as they are.
 * Declared here so that no package imports a driver.
 */
export interface ScriptClient {
  /** Runs the script with this SHA-1. */
  evalsha(sha: string, numberOfKeys: number, ...keysAndArguments: ScriptArgument[]): Promise<unknown>
  /** Runs the script with this text. */
  eval(script: string, numberOfKeys: number, ...keysAndArguments: ScriptArgument[]): Promise<unknown>
}

/** A Lua script known to Redis by the SHA-1 of its text. */
export interface RedisScript {
  readonly lua: string
  readonly sha: string
  /**
   * Runs the script where its keys live. All keys must share one hash slot on a cluster (see {@link hashTag}).
   *
   * Sends the digest; when the server does not know it (restart, failover, SCRIPT FLUSH) sends the text once,
   * which also loads it. NOSCRIPT means that nothing ran, so the second send cannot double an effect; any
   * other error is the caller's, untouched.
   */
  run(client: ScriptClient, keys: readonly string[], args?: readonly ScriptArgument[]): Promise<unknown>
}

/** Defines a script; the text must be constant, all variation goes through keys and arguments. */
export function redisScript(lua: string): RedisScript {
  const sha = createHash('sha1').update(lua).digest('hex')
  return {
    lua,
    sha,
    async run(client, keys, args = []) {
      try {
        return await client.evalsha(sha, keys.length, ...keys, ...args)
      } catch (error) {
        if (!isNoScript(error)) throw error
        return await client.eval(lua, keys.length, ...keys, ...args)
      }
    },
  }
}

/** True for Redis' answer to a digest it does not know. */
export function isNoScript(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('NOSCRIPT')
}

/**
 * The hash tag that puts all keys of one subject into one cluster slot: `{subject}`, with braces inside the
 * subject escaped so that a hostile name cannot choose another slot or collide with another subject.
 */
export function hashTag(subject: string): string {
  return `{${subject.replace(/[%{}]/g, (character) => `%${character.charCodeAt(0).toString(16)}`)}}`
}

/** The cluster slot (0 to 16383) of a key: CRC16-XMODEM of its hash tag, or of the whole key without one. */
export function hashSlot(key: string): number {
  const open = key.indexOf('{')
  const close = open === -1 ? -1 : key.indexOf('}', open + 1)
  const hashed = close > open + 1 ? key.slice(open + 1, close) : key
  let crc = 0
  for (const byte of Buffer.from(hashed)) {
    crc ^= byte << 8
    for (let bit = 0; bit < 8; bit++)
      crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : (crc << 1) & 0xffff
  }
  return crc % 16_384
}
