import { describe, expect, it } from 'vitest'
import type { Broker, EpochEnd, HistorySpec } from '../../src/broker.ts'
import { NodeRoom } from '../../src/node-room.ts'
import type { PresenceStore } from '../../src/presence-store.ts'
import type { Position } from '../../src/protocol.ts'
import type { Member, Subscription } from '../../src/room-audience.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { SOAK } from '../support/soak.ts'

// As a soak: many more.
const SEEDS = SOAK ? 10_000 : 300
const SPEC: HistorySpec = { size: 12, ttl: 3_600_000 }

/** A broker that keeps the truth in a list, and loses, trims and forgets on order. */
class ModelBroker implements Broker {
  epoch = 'e0'
  top = 0
  previous: EpochEnd[] = []
  texts = new Map<number, string>()
  told: ((epoch: string, first: number, texts: readonly string[]) => void)[] = []
  failing = false
  /** Every surviving text by its offset, and for each text ever published the one it followed. */
  readonly timeline: string[] = ['']
  readonly before = new Map<string, string>()
  #epochs = 0

  publish(text: string, deaf: (listener: number) => boolean): void {
    this.before.set(text, this.timeline[this.top] ?? '')
    this.top++
    this.timeline[this.top] = text
    this.texts.set(this.top, text)
    this.texts.delete(this.top - SPEC.size)
    for (const [index, tell] of this.told.entries()) if (!deaf(index)) tell(this.epoch, this.top, [text])
  }

  /** A restart that lost the newest `n`: the next append opens a new epoch. */
  lose(n: number): void {
    const top = Math.max(0, this.top - n)
    for (let offset = top + 1; offset <= this.top; offset++) this.texts.delete(offset)
    // What is left is the state as it was at that offset, in the epoch of that time.
    const epoch = this.previous.find((end) => end.top >= top)?.epoch ?? this.epoch
    this.previous = [...this.previous.filter((end) => end.top < top), { epoch, top }]
    this.top = top
    this.timeline.length = top + 1
    this.epoch = `e${++this.#epochs}`
  }

  lane = () => ''
  append = async () => []
  async send(): Promise<void> {}
  async subscribe(): Promise<void> {}
  async unsubscribe(): Promise<void> {}
  async read(_room: string, _spec: HistorySpec, after: number | undefined) {
    await Promise.resolve()
    if (this.failing) throw new Error('away')
    const offsets = [...this.texts.keys()].filter((offset) => after !== undefined && offset > after)
    const { epoch, top, previous } = this
    return {
      epoch,
      top,
      previous,
      first: offsets[0] ?? 0,
      texts: offsets.map((o) => this.texts.get(o) ?? ''),
    }
  }
  readonly presence = {} as PresenceStore
  secret = async () => ''
  health() {
    return { kind: 'memory', commands: 'up', subscriber: 'up', epochGuard: true } as const
  }
  async close(): Promise<void> {}
}

/** A client that follows PROTOCOL.md, and writes down what it is given. */
class ModelClient implements Member {
  readonly deflates = false
  full = false
  position: Position | undefined
  subscription: Subscription | undefined
  readonly seen: { readonly text: string; readonly gap: string | undefined }[] = []
  #gap: string | undefined

  backlogged(): boolean {
    return this.full
  }
  stalled(): void {}
  write(frame: Buffer): void {
    for (const line of textOf(frame).split('\n')) this.#take(JSON.parse(line) as unknown[])
  }
  announce(epoch: string, offset: number, recovered: number): void {
    if (recovered > 1) this.#lacks(recovered === 2 ? 'trimmed' : 'lost')
    this.position = { epoch, offset }
  }
  // Two gaps may come before the next message; the worse one counts.
  #lacks(reason: string): void {
    if (this.#gap !== 'lost') this.#gap = reason
  }
  #take([type, , second, third, fourth]: unknown[]): void {
    const { position } = this
    if (!position) throw new Error('a message before the position')
    if (type === 'epoch') this.position = { epoch: String(second), offset: position.offset }
    else if (type === 'gap') {
      this.#lacks(String(second))
      this.position = { epoch: String(third), offset: Number(fourth) }
    } else {
      if (Number(second) !== position.offset + 1) throw new Error(`${second} follows ${position.offset}`)
      this.position = { epoch: position.epoch, offset: Number(second) }
      this.seen.push({ text: String(fourth), gap: this.#gap })
      this.#gap = undefined
    }
  }
}

function textOf(frames: Buffer): string {
  const texts: string[] = []
  for (let at = 0; at < frames.length; ) {
    const short = (frames[at + 1] ?? 0) & 0x7f
    const header = short === 126 ? 4 : 2
    const length = short === 126 ? frames.readUInt16BE(at + 2) : short
    texts.push(frames.toString('utf8', at + header, at + header + length))
    at += header + length
  }
  return texts.join('\n')
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 30; turn++) await Promise.resolve()
}

async function play(seed: number, steps: number): Promise<void> {
  const random = seededRandom(seed)
  const chance = (probability: number) => random() < probability
  const broker = new ModelBroker()
  const rooms = [0, 1].map(
    (index) =>
      new NodeRoom({ key: 'r', wire: 'r', spec: SPEC, broker, instance: `n${index}`, dirty: () => {} }),
  )
  broker.told = rooms.map((room) => (epoch, first, texts) => room.receive(epoch, first, texts))
  const clients = Array.from({ length: 4 }, () => new ModelClient())
  let n = 0
  const publish = (reliable: boolean) => broker.publish(`"n","${++n}"`, () => !reliable && chance(0.15))
  const join = async (client: ModelClient) => {
    const room = rooms[Math.floor(random() * rooms.length)] as NodeRoom
    client.full = false
    client.subscription = await room.attach(
      client,
      client.position,
      (...at) => client.announce(...at),
      () => true,
    )
  }

  for (let step = 0; step < steps; step++) {
    const client = clients[Math.floor(random() * clients.length)] as ModelClient
    const what = random()
    if (what < 0.5) publish(false)
    else if (what < 0.62) for (const room of rooms) room.flush()
    else if (what < 0.72) {
      const { subscription } = client
      client.subscription = undefined
      if (subscription) subscription.room.detach(subscription)
      else await join(client)
    } else if (what < 0.8) client.full = !client.full
    else if (what < 0.88 && client.subscription && !client.full)
      client.subscription.room.pump(client.subscription)
    else if (what < 0.93) for (const room of rooms) await room.refresh()
    else if (what < 0.95) {
      broker.lose(Math.floor(random() * 4))
      // What a server learns to be lost it learns before anybody publishes into the new epoch, or after.
      if (chance(0.5)) for (const room of rooms) await room.refresh()
    } else await settle()
  }

  // In the end everybody is there, has room, and nothing is lost any more.
  for (const client of clients) {
    client.full = false
    if (!client.subscription) await join(client)
  }
  publish(true)
  for (const room of rooms) {
    await room.refresh()
    room.flush()
    room.tend(Date.now())
  }
  await settle()
  for (const room of rooms) room.tend(Date.now())
  await settle()

  for (const { seen } of clients) {
    expect(seen.at(-1)?.text).toBe(String(n))
    for (let at = 1; at < seen.length; at++) {
      const [before, now] = [Number(seen[at - 1]?.text), Number(seen[at]?.text)]
      // It follows what it followed in the room, unless a gap was announced right before. After a loss whose epoch is
      // gone too, messages may come again.
      if (!seen[at]?.gap) expect(broker.before.get(`"n","${now}"`)).toBe(`"n","${before}"`)
      else if (seen[at]?.gap === 'trimmed') expect(now).toBeGreaterThan(before)
    }
  }
}

describe('a room against its model', () => {
  it(
    'gives every client a gap-free ordered slice, or a gap first',
    async () => {
      const first = Math.floor(Math.random() * 1_000_000)
      const last = first + SEEDS - 1
      console.log(`seeds ${first} to ${last}`)
      for (let seed = first; seed <= last; seed++) {
        try {
          await play(seed, 120)
        } catch (error) {
          throw new Error(`seed ${seed}`, { cause: error })
        }
      }
    },
    200 * SEEDS,
  )
})
