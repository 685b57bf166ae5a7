/** One value, with what it takes to judge it. */
interface Slot<V> {
  readonly key: string
  readonly value: V
  readonly size: number
  /** Reads since it entered its queue, `MOST_USES` at most. */
  uses: number
}

/** Slots in the order of their coming. To take the oldest one out, or any other one, costs the same. */
class Queue<V> {
  readonly slots = new Map<string, Slot<V>>()
  bytes = 0
  /** Maps keep the order of insertion; an iterator that is kept need not step over what has gone. */
  #oldest = this.slots.values()

  add(slot: Slot<V>): void {
    this.slots.set(slot.key, slot)
    this.bytes += slot.size
  }

  take(key: string): Slot<V> | undefined {
    const slot = this.slots.get(key)
    if (!slot) return undefined
    this.slots.delete(key)
    this.bytes -= slot.size
    return slot
  }

  takeOldest(): Slot<V> | undefined {
    let next = this.#oldest.next()
    if (next.done) {
      this.#oldest = this.slots.values()
      next = this.#oldest.next()
    }
    return next.value && this.take(next.value.key)
  }

  clear(): void {
    this.slots.clear()
    this.bytes = 0
  }
}

/** What keys that have gone leave behind: 30 bits of each, the oldest first. Two keys may share them. */
class Ghosts {
  readonly #marks = new Set<number>()
  #oldest = this.#marks.values()

  get bytes(): number {
    return this.#marks.size * 32
  }

  /** Remembers no more than `most`. */
  add(key: string, most: number): void {
    this.#marks.add(markOf(key))
    while (this.#marks.size > most) this.dropOldest()
  }

  /** True when the key was remembered; it is no more. */
  take(key: string): boolean {
    return this.#marks.delete(markOf(key))
  }

  dropOldest(): void {
    let next = this.#oldest.next()
    if (next.done) {
      this.#oldest = this.#marks.values()
      next = this.#oldest.next()
    }
    if (next.value !== undefined) this.#marks.delete(next.value)
  }

  clear(): void {
    this.#marks.clear()
  }
}

/** FNV-1a, cut to what V8 keeps without an object. */
function markOf(key: string): number {
  let mark = 0x811c9dc5
  for (let i = 0; i < key.length; i++) mark = Math.imul(mark ^ key.charCodeAt(i), 0x01000193)
  return mark >>> 2
}

const MOST_USES = 3
/** Reads that make a newcomer a resident; the paper asks for one more, which serves bursts of new keys worse. */
const ENOUGH_USES = 1
/** Newcomers have a tenth of the room. */
const PARTS = 10

/**
 * A bounded map that scans leave as it is: newcomers wait in a small queue, and those that nobody reads again leave
 * it without having pushed out what is read often. A read moves nothing.
 *
 * S3-FIFO: Yang, Zhang, Qiu, Yue, Rashmi, "FIFO queues are all you need for cache eviction", SOSP 2023. Here sizes
 * are bounded, too: a queue is long when it has many slots or many bytes.
 */
export class S3Fifo<V> {
  readonly #maxItems: number
  readonly #maxBytes: number
  readonly #newcomers = new Queue<V>()
  readonly #residents = new Queue<V>()
  /** Newcomers that left, and residents that were deleted: who comes back soon is a resident at once. */
  readonly #ghosts = new Ghosts()

  constructor(limits: { readonly maxItems: number; readonly maxBytes: number }) {
    this.#maxItems = limits.maxItems
    this.#maxBytes = limits.maxBytes
  }

  get size(): number {
    return this.#newcomers.slots.size + this.#residents.slots.size
  }

  /** Bytes of all values, by what `set` was told, and of what is remembered of others. */
  get calculatedSize(): number {
    return this.#newcomers.bytes + this.#residents.bytes + this.#ghosts.bytes
  }

  get(key: string): V | undefined {
    const slot = this.#slot(key)
    if (slot === undefined) return undefined
    if (slot.uses < MOST_USES) slot.uses++
    return slot.value
  }

  /** As `get`, and does not count as a read. */
  peek(key: string): V | undefined {
    return this.#slot(key)?.value
  }

  /** What is larger than all there is room for is not kept. */
  set(key: string, value: V, { size }: { readonly size: number }): void {
    const resident = this.#residents.take(key)
    const newcomer = this.#newcomers.take(key)
    const ghost = this.#ghosts.take(key)
    if (size > this.#maxBytes) return
    while (this.size >= this.#maxItems || this.calculatedSize + size > this.#maxBytes) this.#evict()
    const uses = (resident ?? newcomer)?.uses ?? 0
    const queue = resident || ghost ? this.#residents : this.#newcomers
    queue.add({ key, value, size, uses })
  }

  delete(key: string): void {
    this.#newcomers.take(key)
    if (this.#residents.take(key)) this.#ghosts.add(key, this.size)
    while (this.calculatedSize > this.#maxBytes) this.#ghosts.dropOldest()
  }

  clear(): void {
    for (const part of [this.#newcomers, this.#residents, this.#ghosts]) part.clear()
  }

  #slot(key: string): Slot<V> | undefined {
    return this.#residents.slots.get(key) ?? this.#newcomers.slots.get(key)
  }

  #evict(): void {
    const { slots, bytes } = this.#newcomers
    const many = slots.size * PARTS >= this.#maxItems || bytes * PARTS >= this.#maxBytes
    if (slots.size > 0 && (many || this.#residents.slots.size === 0)) this.#evictNewcomer()
    else if (this.#residents.slots.size > 0) this.#evictResident()
    else this.#ghosts.dropOldest()
  }

  #evictNewcomer(): void {
    const slot = this.#newcomers.takeOldest()
    if (!slot) return
    if (slot.uses >= ENOUGH_USES) this.#residents.add({ ...slot, uses: 0 })
    else this.#ghosts.add(slot.key, this.size)
  }

  #evictResident(): void {
    const slot = this.#residents.takeOldest()
    if (!slot || slot.uses === 0) return
    slot.uses--
    this.#residents.add(slot)
  }
}
