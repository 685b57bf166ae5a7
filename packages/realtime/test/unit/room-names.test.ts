import { describe, expect, it } from 'vitest'
import { formatRoom, roomMatcher } from '../../src/room-name.ts'

describe('room names', () => {
  it('put parameters in so that none can reach into the next segment', () => {
    expect(formatRoom('org:{org}:job:{id}', { org: 'a:b', id: 7 })).toBe('org:a%3Ab:job:7')
    expect(formatRoom('lobby')).toBe('lobby')
    expect(formatRoom('job:{id}', {})).toBeUndefined()
    expect(formatRoom('job:{id}', { id: '' })).toBeUndefined()
    expect(formatRoom('job:{id}', { id: '\ud800' })).toBeUndefined()
    expect(formatRoom('job:{toString}', {})).toBeUndefined()
  })

  it('are read back into the pattern and the parameters they were made of', () => {
    const matcher = roomMatcher(['lobby', 'org:{org}:job:{id}', 'job:{id}'])
    expect(matcher.match('lobby')).toEqual({ pattern: 'lobby', params: {} })
    expect(matcher.match('org:a%3Ab:job:7')).toEqual({
      pattern: 'org:{org}:job:{id}',
      params: { org: 'a:b', id: '7' },
    })
    for (const none of ['lobby2', 'job:', 'job:1:2', 'job:%', 'job:%zz', 'job:%61', '~ann', '!control']) {
      expect(matcher.match(none)).toBeUndefined()
    }
  })
})
