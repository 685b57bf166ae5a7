import { describe, expect, it, vi } from 'vitest'
import { CaysError, messageOf } from '../../src/error.ts'

class StoreError extends CaysError<'X_ERR_DOWN'> {
  static override readonly id: string = 'x.StoreError'
}
class SlowStoreError extends StoreError {
  static override readonly id: string = 'x.SlowStoreError'
}
class OtherError extends CaysError<'Y_ERR_OTHER'> {
  static override readonly id: string = 'y.OtherError'
}

describe('CaysError', () => {
  it('carries code, retryable, cause and the name of its class', () => {
    const cause = new Error('socket closed')
    const error = new SlowStoreError('X_ERR_DOWN', 'the store is down', { cause, retryable: true })
    expect(error).toMatchObject({ code: 'X_ERR_DOWN', retryable: true, name: 'SlowStoreError', cause })
    expect(error instanceof Error).toBe(true)
    expect(error.stack).toContain('the store is down')
  })

  it('has no cause property when none was given, and is not retryable unless said', () => {
    const error = new CaysError('X', 'm')
    expect('cause' in error).toBe(false)
    expect(error.retryable).toBe(false)
  })

  it('is an instance of its own classes and of no sibling', () => {
    const error = new SlowStoreError('X_ERR_DOWN', 'm')
    expect(error instanceof StoreError).toBe(true)
    expect(error instanceof CaysError).toBe(true)
    expect((error as unknown) instanceof OtherError).toBe(false)
    expect(new StoreError('X_ERR_DOWN', 'm') instanceof SlowStoreError).toBe(false)
  })

  it('is an instance across a second copy of the package', async () => {
    vi.resetModules()
    const copy = await import('../../src/error.ts')
    expect(copy.CaysError).not.toBe(CaysError)
    class CopiedStoreError extends copy.CaysError {
      static override readonly id: string = 'x.StoreError'
    }
    expect(new StoreError('X_ERR_DOWN', 'm') instanceof copy.CaysError).toBe(true)
    expect(new StoreError('X_ERR_DOWN', 'm') instanceof CopiedStoreError).toBe(true)
    expect(new OtherError('Y_ERR_OTHER', 'm') instanceof CopiedStoreError).toBe(false)
  })

  it.each([null, undefined, 1, 'x', {}, new Error('x'), Object.create(null)])(
    'is not fooled by %o',
    (value) => {
      expect((value as unknown) instanceof CaysError).toBe(false)
    },
  )

  it('shows neither brand nor name among its enumerable properties', () => {
    expect(Object.keys(new StoreError('X_ERR_DOWN', 'm')).sort()).toEqual(['code', 'retryable'])
  })
})

describe('messageOf', () => {
  it('never throws, whatever was thrown', () => {
    expect(messageOf(new Error('a'))).toBe('a')
    expect(messageOf('b')).toBe('b')
    expect(messageOf(undefined)).toBe('undefined')
    expect(messageOf(Object.create(null))).toBe('a value that cannot be shown')
  })
})
