/** Names in the order of their UTF-8 bytes, which is the order S3 lists in. */
export class SortedNames {
  #names: string[] = []

  fill(names: readonly string[]): void {
    this.#names = [...names].sort(compareUtf8)
  }

  add(name: string): void {
    this.#names.splice(this.firstAtOrAfter(name), 0, name)
  }

  delete(name: string): void {
    const index = this.firstAtOrAfter(name)
    if (this.#names[index] === name) this.#names.splice(index, 1)
  }

  at(index: number): string | undefined {
    return this.#names[index]
  }

  /** Index of the first name that is not before `name`. */
  firstAtOrAfter(name: string): number {
    return this.#search((candidate) => compareUtf8(candidate, name) < 0)
  }

  /** Index of the first name after `name`. */
  firstAfter(name: string): number {
    return this.#search((candidate) => compareUtf8(candidate, name) <= 0)
  }

  /** Index of the first name that is after `prefix` and does not start with it. */
  firstBeyond(prefix: string): number {
    return this.#search((candidate) => compareUtf8(candidate, prefix) < 0 || candidate.startsWith(prefix))
  }

  #search(isBefore: (name: string) => boolean): number {
    let low = 0
    let high = this.#names.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (isBefore(this.#names[middle] ?? '')) low = middle + 1
      else high = middle
    }
    return low
  }
}

// UTF-16 and UTF-8 order differ only where a surrogate (U+10000 and up) meets U+E000 to U+FFFF.
function compareUtf8(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i += 1) {
    const x = a.charCodeAt(i)
    const y = b.charCodeAt(i)
    if (x !== y) return rank(x) - rank(y)
  }
  return a.length - b.length
}

function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x2000 : unit >= 0xe000 ? unit - 0x800 : unit
}
