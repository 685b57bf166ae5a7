import type { Connection } from './connection.ts'
import type { Identity } from './options.ts'

/** The open sockets of this node, by user and by address. */
export class Connections<Who extends Identity> {
  #identified = 0
  readonly #all = new Set<Connection<Who>>()
  readonly #users = new Map<string, Set<Connection<Who>>>()
  readonly #addresses = new Map<string, number>()

  get size(): number {
    return this.#all.size
  }

  /** Connections that have not yet said who they are. */
  get handshakes(): number {
    return this.#all.size - this.#identified
  }

  [Symbol.iterator](): IterableIterator<Connection<Who>> {
    return this.#all.values()
  }

  fromAddress(address: string): number {
    return this.#addresses.get(address) ?? 0
  }

  ofUser(userId: string): ReadonlySet<Connection<Who>> {
    return this.#users.get(userId) ?? new Set()
  }

  add(connection: Connection<Who>): void {
    this.#all.add(connection)
    this.#addresses.set(connection.address, this.fromAddress(connection.address) + 1)
  }

  identify(connection: Connection<Who>, userId: string): void {
    let users = this.#users.get(userId)
    if (!users) {
      users = new Set()
      this.#users.set(userId, users)
    }
    users.add(connection)
    this.#identified++
  }

  remove(connection: Connection<Who>): void {
    if (!this.#all.delete(connection)) return
    const left = this.fromAddress(connection.address) - 1
    if (left > 0) this.#addresses.set(connection.address, left)
    else this.#addresses.delete(connection.address)
    const userId = connection.who?.userId
    const users = userId === undefined ? undefined : this.#users.get(userId)
    if (userId === undefined || !users?.delete(connection)) return
    this.#identified--
    if (users.size === 0) this.#users.delete(userId)
  }
}
