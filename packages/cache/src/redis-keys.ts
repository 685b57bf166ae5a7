import { hashTag } from '@cays/core/redis-script'
import type { Settings } from './options.ts'

/** What has a meaning in a hash tag, and halves of surrogate pairs, which have no UTF-8. */
const SPECIAL = /[%{}\ud800-\udfff]/
const ALONE = /\p{Surrogate}/gu

/** The names of one namespace in Redis. No two keys of a cache share one. */
export class RedisKeys {
  /** The namespace's own, all in one slot: the hash, the stream of changes, and the channel they are told on. */
  readonly meta: string
  readonly feed: string
  readonly channel: string
  /** What those of all values and leases begin with. */
  readonly prefix: string

  constructor({
    namespace,
    l2,
  }: Pick<Settings, 'namespace'> & { readonly l2: Pick<Settings['l2'], 'prefix'> }) {
    this.meta = `${l2.prefix}:${hashTag(namespace)}`
    this.feed = `${this.meta}:f`
    this.channel = `${this.meta}:c`
    this.prefix = `${l2.prefix}:${hashTag(`${namespace}:`).slice(0, -1)}`
  }

  tag(tag: string): string {
    return `${this.meta}:t:${tag}`
  }

  value(key: string): string {
    if (!SPECIAL.test(key)) return `${this.prefix}${key}}`
    const escaped = hashTag(key).slice(1)
    return this.prefix + escaped.replace(ALONE, (half) => `%u${half.charCodeAt(0).toString(16)}`)
  }

  /** Of the value and the lease, in one slot. */
  pair(key: string): readonly [string, string] {
    const value = this.value(key)
    return [value, `${value}:l`]
  }

  /** The cache's own key whose value has this name, if one has. */
  keyOf(value: string): string | undefined {
    if (!value.startsWith(this.prefix) || !value.endsWith('}')) return undefined
    const escaped = value.slice(this.prefix.length, -1)
    return escaped.replace(/%(?:u(d[89a-f][0-9a-f]{2})|(25|7b|7d))/g, (_, half?: string, code?: string) =>
      String.fromCharCode(Number.parseInt(half ?? code ?? '', 16)),
    )
  }
}
