import { describe, expect, it } from 'vitest'
import { defaultSettings, renderSettings } from '../../src/postgres-settings.ts'
import { startPostgres } from '../../src/start-postgres.ts'

describe('settings of Postgres', () => {
  it('are written so that the server reads the same value', () => {
    const text = renderSettings({ a: true, b: false, c: 7, d: `it's \\ 'x'`, gone: undefined })
    expect(text).toBe(`a = 'on'\nb = 'off'\nc = '7'\nd = 'it''s \\\\ ''x'''\n`)
  })

  it('ask an old server for nothing that it does not know', () => {
    expect(defaultSettings(15)).not.toHaveProperty('io_method')
    expect(defaultSettings(18)).toHaveProperty('io_method')
  })
})

describe('options of startPostgres', () => {
  it.each([
    [{ replica: 1 }, /unknown option "replica", did you mean "replicas"/],
    [{ replicas: -1 }, /replicas must be a whole number/],
    [{ replicas: 1.5 }, /replicas must be a whole number/],
    [{ version: 14 }, /version must be a whole number between 15/],
    [{ settings: { "port'; x": 1 } }, /names of server settings/],
    [{ settings: null }, /settings must be an object/],
    [{ synchronous: { counts: 1 } }, /unknown option "synchronous.counts"/],
    [{ synchronous: 'yes' }, /synchronous must be true or false/],
    [{ logStatements: 1 }, /logStatements must be true or false/],
  ])('%j are refused before anything is started', async (options, message) => {
    await expect(startPostgres(options as object)).rejects.toMatchObject({
      code: 'TESTKIT_ERR_OPTIONS',
      message: expect.stringMatching(message),
    })
  })
})
