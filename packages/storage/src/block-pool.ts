const MOST = 64

/**
 * Buffers that are done with, for whoever needs one of the same size next: the garbage collector is in no hurry to give
 * back what was dropped. Held weakly, so that nothing stays in memory for their sake.
 */
export class BlockPool {
  readonly #blocks: WeakRef<Buffer>[] = []

  /** A buffer of so many bytes, whose content is anything. */
  take(bytes: number): Buffer {
    for (let index = this.#blocks.length - 1; index >= 0; index--) {
      const block = this.#blocks[index]?.deref()
      if (block && block.length !== bytes) continue
      this.#blocks.splice(index, 1)
      if (block) return block
    }
    return Buffer.allocUnsafeSlow(bytes)
  }

  /** Takes a buffer that nobody will touch any more. */
  give(block: Buffer): void {
    this.#blocks.push(new WeakRef(block))
    if (this.#blocks.length > MOST) this.#blocks.shift()
  }
}
