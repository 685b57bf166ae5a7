import { isIPv4, isIPv6 } from 'node:net'
import { LimitConfigError } from './errors.ts'

/** Which part of an address counts as one client. */
export interface IpKeyOptions {
  /**
   * Bits of an IPv6 address that count as one client: providers hand out whole networks, so single addresses
   * would let one client have billions of keys. @default 64
   */
  readonly ipv6?: 48 | 56 | 60 | 64 | 128
}

// As some proxies write a client: `192.0.2.1:5678`, `[2001:db8::1]:5678`.
const WITH_PORT = /^(?:\[([^[\]]+)\]|([\d.]+))(?::\d{1,5})?$/

/**
 * The subject for a client's address: `ip:192.0.2.1`, or `ip:2001:db8:0:1::/64` for IPv6.
 *
 * Works on the address' bits, so every spelling of an address gives one key, and an IPv4-mapped IPv6 address
 * gives the key of its IPv4 address. A port is left out. An address that is missing or no address at all shares one key, so
 * that it cannot be used to escape a limit.
 */
export function ipKey(address: string | undefined, options: IpKeyOptions = {}): string {
  const { ipv6 = 64 } = options
  if (!Number.isInteger(ipv6) || ipv6 < 1 || ipv6 > 128) {
    throw new LimitConfigError('LIMIT_ERR_BAD_OPTION', 'ipKey: ipv6 must be a number of bits such as 64')
  }
  if (typeof address !== 'string') return 'ip:unknown'
  const [, bracketed, dotted] = WITH_PORT.exec(address) ?? []
  const [plain = ''] = (bracketed ?? dotted ?? address).split('%', 1)
  if (isIPv4(plain)) return `ip:${plain}`
  if (!isIPv6(plain)) return 'ip:unknown'
  const groups = groupsOf(plain)
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) {
    const [high = 0, low = 0] = groups.slice(6)
    return `ip:${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`
  }
  const kept = groups.map((group, index) => {
    const bits = Math.min(16, Math.max(0, ipv6 - index * 16))
    return group & (0xffff << (16 - bits)) & 0xffff
  })
  return `ip:${kept
    .slice(0, Math.ceil(ipv6 / 16))
    .map((group) => group.toString(16))
    .join(':')}${ipv6 > 112 ? '' : '::'}/${ipv6}`
}

// The eight 16-bit groups of a valid IPv6 address.
function groupsOf(address: string): number[] {
  const dotted = address.includes('.') ? address.slice(address.lastIndexOf(':') + 1) : ''
  let text = address
  if (dotted) {
    const [a = 0, b = 0, c = 0, d = 0] = dotted.split('.').map(Number)
    const tail = `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
    text = address.slice(0, -dotted.length) + tail
  }
  const [head = '', rest] = text.split('::')
  const left = head === '' ? [] : head.split(':')
  const right = rest === undefined || rest === '' ? [] : rest.split(':')
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => '0')
  return [...left, ...(rest === undefined ? [] : zeros), ...right].map((group) => Number.parseInt(group, 16))
}
