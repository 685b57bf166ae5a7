import { describe, expect, it } from 'vitest'
import { parsePostgresLog } from '../../src/postgres-log.ts'

const line = (pid: number, text: string, application = 'app') =>
  `1700000000.250\t${pid}\tbase\t${application}\t${text}\n`

describe('the reader of a Postgres log', () => {
  it('reads time, backend, database, application, severity and message', () => {
    expect(parsePostgresLog(line(7, 'WARNING:  there is no transaction in progress'))).toEqual([
      {
        at: new Date(1_700_000_000_250),
        pid: 7,
        database: 'base',
        application: 'app',
        severity: 'WARNING',
        message: 'there is no transaction in progress',
      },
    ])
  })

  it.each([
    ['statement: select 1', 'select 1'],
    ['execute <unnamed>: select $1', 'select $1'],
    ['execute named one: select $1', 'select $1'],
    ['statement: select 1\n\tfrom t', 'select 1\nfrom t'],
    ['duration: 1.5 ms', undefined],
  ])('finds the statement in %j', (text, statement) => {
    expect(parsePostgresLog(line(7, `LOG:  ${text}`))[0]?.statement).toBe(statement)
  })

  it('gives detail and statement to the entry of the same backend, though others wrote in between', () => {
    const entries = parsePostgresLog(
      line(7, 'ERROR:  duplicate key') +
        line(8, 'LOG:  statement: select 2') +
        line(7, 'DETAIL:  Key (id)=(1) already exists.') +
        line(7, 'HINT:  ignored') +
        line(7, 'STATEMENT:  insert into t\n\tvalues (1)'),
    )
    expect(entries).toHaveLength(2)
    expect(entries[0]).toMatchObject({
      detail: 'Key (id)=(1) already exists.',
      statement: 'insert into t\nvalues (1)',
    })
    expect(entries[1]).toMatchObject({ pid: 8, statement: 'select 2' })
  })

  it('leaves out the sessions of the testkit and lines that are no entries', () => {
    const own = line(7, 'LOG:  statement: select 1', 'cays-testkit')
    expect(parsePostgresLog(`${own}loose words\n\n`)).toEqual([])
  })
})
