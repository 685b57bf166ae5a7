import { describe, expect, it } from 'vitest'
import { filterCount, paramsFrom, queryFrom } from '../../web/src/data/job-query.ts'

const read = (search: string) => queryFrom(new URLSearchParams(search))

describe('the search in the address bar', () => {
  it('survives a reload: what is written is read again', () => {
    const query = read(
      'q=dive+guide&island=Exuma&island=Abaco&trade=Marine&type=seasonal&remote=true&payMin=45000',
    )
    expect(queryFrom(paramsFrom(query))).toEqual(query)
    expect(query.island).toEqual(['Abaco', 'Exuma'])
    expect(filterCount(query)).toBe(6)
  })

  it('leaves out what nobody knows, so that an old or a made-up link still shows jobs', () => {
    expect(read('island=Atlantis&type=<b>&payMin=-3&remote=yes&cursor=x')).toEqual(read(''))
    expect(read('payMin=1e9').payMin).toBeNull()
    expect(read(`q=${'a'.repeat(500)}`).q).toHaveLength(120)
  })

  it('writes nothing for a search for everything', () => {
    expect(paramsFrom(read('q=++')).toString()).toBe('')
  })
})
