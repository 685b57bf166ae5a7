import { describe, expect, it } from 'vitest'
import { ipKey } from '../../src/ip-key.ts'

describe('ipKey', () => {
  it('gives every spelling of an IPv4-mapped address the key of its IPv4 address', () => {
    for (const spelling of [
      '192.0.2.1',
      '::ffff:192.0.2.1',
      '::FFFF:192.0.2.1',
      '::ffff:c000:201',
      '::ffff:c000:0201',
      '0:0:0:0:0:ffff:c000:201',
      '0000:0000:0000:0000:0000:FFFF:192.0.2.1',
      '0::0:ffff:192.0.2.1',
    ]) {
      expect(ipKey(spelling), spelling).toBe('ip:192.0.2.1')
    }
  })

  it('keeps two IPv4-mapped clients apart', () => {
    expect(ipKey('::ffff:192.0.2.1')).not.toBe(ipKey('::ffff:192.0.2.2'))
  })

  it('gives all addresses of one IPv6 network one key, and other networks another', () => {
    const key = 'ip:2001:db8:0:1::/64'
    for (const address of [
      '2001:db8:0:1::',
      '2001:0DB8:0000:0001:ffff:ffff:ffff:ffff',
      '2001:db8::1:0:0:0:1',
      '2001:db8:0:1::192.0.2.1',
      '2001:db8:0:1::1%eth0',
    ]) {
      expect(ipKey(address), address).toBe(key)
    }
    expect(ipKey('2001:db8:0:2::')).not.toBe(key)
  })

  it('leaves out the port that some proxies write', () => {
    expect(ipKey('192.0.2.1:5678')).toBe('ip:192.0.2.1')
    expect(ipKey('[2001:db8:0:1::1]:5678')).toBe('ip:2001:db8:0:1::/64')
    expect(ipKey('[2001:db8:0:1::1%eth0]')).toBe('ip:2001:db8:0:1::/64')
    expect(ipKey('[::ffff:192.0.2.1]:80')).toBe('ip:192.0.2.1')
  })

  it('cuts at the number of bits asked for', () => {
    expect(ipKey('2001:db8:12:34ff::1', { ipv6: 56 })).toBe('ip:2001:db8:12:3400::/56')
    expect(ipKey('2001:db8:12:34ff::1', { ipv6: 48 })).toBe('ip:2001:db8:12::/48')
    expect(ipKey('2001:db8::1', { ipv6: 128 })).toBe('ip:2001:db8:0:0:0:0:0:1/128')
    expect(ipKey('::1')).toBe('ip:0:0:0:0::/64')
  })

  it('takes an IPv4-compatible or NAT64 address for IPv6, as its bits say', () => {
    expect(ipKey('::192.0.2.1')).toBe('ip:0:0:0:0::/64')
    expect(ipKey('64:ff9b::192.0.2.1')).toBe('ip:64:ff9b:0:0::/64')
  })

  it('puts everything that is no address under one key', () => {
    for (const address of [
      undefined,
      '',
      'localhost',
      '1.2.3',
      '1.2.3.4:',
      '1.2.3.4:123456',
      '[192.0.2.1',
      '[[::1]]:80',
      '1.2.3.4, 5.6.7.8',
      5 as never,
      ':::',
      '::ffff:1.2.3',
      '1::2::3',
    ]) {
      expect(ipKey(address), String(address)).toBe('ip:unknown')
    }
  })

  it('refuses a prefix length that is none', () => {
    expect(() => ipKey('::1', { ipv6: 0 as never })).toThrow(/number of bits/)
  })
})
