import type pg from 'pg'
import { expectTypeOf, test } from 'vitest'
import { createRouter, type Router, type RouterOptions } from '../../src/index.ts'

declare const db: Router

test('a router goes where a pool goes', () => {
  expectTypeOf<Router>().toExtend<pg.Pool>()
  expectTypeOf(db.primary).toEqualTypeOf<pg.Pool>()
})

test('rows are typed as with pg', async () => {
  expectTypeOf((await db.query<{ id: number }>('select 1')).rows).toEqualTypeOf<{ id: number }[]>()
  expectTypeOf((await db.query('select $1', [1])).rows[0]?.anything).toBeAny()
})

test('a query says where and how it runs, and not what does not exist', () => {
  db.query({ text: 'select 1', route: 'replica', consistency: 'bounded', maxStaleness: '5s' })
  // @ts-expect-error no such route
  db.query({ text: 'select 1', route: 'secondary' })
})

test('options are checked', () => {
  expectTypeOf<Parameters<typeof createRouter>>().toEqualTypeOf<[options: RouterOptions]>()
  // @ts-expect-error a primary is needed
  createRouter({})
})

test('a transaction gives what its function gives', () => {
  expectTypeOf(db.transaction(async () => 'done')).toEqualTypeOf<Promise<string>>()
  expectTypeOf(db.session(async (session) => session.bookmark())).toEqualTypeOf<Promise<string>>()
})
