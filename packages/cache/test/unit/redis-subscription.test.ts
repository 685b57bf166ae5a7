import { EventEmitter } from 'node:events'
import { describe, expect, it } from 'vitest'
import type { RedisClient } from '../../src/index.ts'
import { RedisSubscription } from '../../src/redis-subscription.ts'
import { Warnings } from '../../src/warnings.ts'

/** A connection that answers when it is told to. */
class Connection extends EventEmitter {
  readonly sent: string[] = []
  readonly #answers: ((answer: unknown) => void)[] = []

  call(...parts: string[]) {
    return this.#send(parts.slice(0, 4).join(' '))
  }
  subscribe(channel: string) {
    return this.#send(`SUBSCRIBE ${channel}`)
  }
  ping() {
    return this.#send('PING')
  }
  disconnect() {
    this.emit('close')
    this.emit('end')
  }
  /** Answers what was sent first. */
  async answer(answer: unknown): Promise<void> {
    this.#answers.shift()?.(answer)
    await new Promise((resolve) => setImmediate(resolve))
  }
  #send(command: string): Promise<unknown> {
    this.sent.push(command)
    return new Promise((resolve) => this.#answers.push(resolve))
  }
}

function subscription(tracked?: string) {
  const connection = new Connection()
  const client = { duplicate: () => connection } as unknown as RedisClient
  let missed = 0
  const heard = new RedisSubscription({
    client,
    channel: 'channel',
    tracked,
    timeout: 10_000,
    warnings: new Warnings('test'),
    hearing: { message: () => {}, written: () => {}, missed: () => missed++ },
  })
  heard.start()
  return {
    connection,
    heard,
    get missed() {
      return missed
    },
  }
}

const MEANWHILE = [
  'CLIENT ID',
  'CLIENT TRACKING ON REDIRECT',
  'SUBSCRIBE __redis__:invalidate',
  'SUBSCRIBE channel',
]

describe('a connection that breaks while it subscribes', () => {
  for (const [answered, broken] of MEANWHILE.entries()) {
    it(`during ${broken} begins anew, and what was begun before counts for nothing`, async () => {
      const subscribing = subscription('prefix')
      const { connection, heard } = subscribing
      connection.emit('ready')
      for (let i = 0; i < answered; i++) await connection.answer('before')
      expect(connection.sent.at(-1)).toBe(broken)
      connection.emit('close')
      connection.emit('ready')
      const sent = connection.sent.length
      // The answer comes late, or from a command that the client sent again.
      await connection.answer('late')
      expect(connection.sent.length).toBe(sent)
      expect([heard.tracking, heard.subscribed, subscribing.missed]).toEqual([false, false, 0])
      for (let i = 0; i < MEANWHILE.length; i++) await connection.answer('new')
      expect(connection.sent.slice(sent - 1)).toEqual(MEANWHILE)
      expect([heard.tracking, heard.subscribed, subscribing.missed]).toEqual([true, true, 1])
    })
  }

  it('is not taken for subscribed by what was begun before', async () => {
    const { connection, heard } = subscription()
    connection.emit('ready')
    connection.emit('close')
    await connection.answer('late')
    expect(heard.subscribed).toBe(false)
    connection.emit('ready')
    await connection.answer('new')
    expect(heard.subscribed).toBe(true)
  })
})
