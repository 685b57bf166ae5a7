import { type PostgresCluster, startPostgres } from '@cays/testkit'
import { PrismaPg } from '@prisma/adapter-pg'
import { count, eq } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { integer, pgTable, serial, text } from 'drizzle-orm/pg-core'
import createKnex from 'knex'
import { type Generated, Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { DataSource, EntitySchema } from 'typeorm'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createRouter, type Router } from '../../src/index.ts'
import { typeormDriver } from '../../src/typeorm.ts'
import { PATIENT, settled } from '../settled.ts'

const APPLICATION = 'the router'

let cluster: PostgresCluster
let db: Router

beforeAll(async () => {
  cluster = await startPostgres({ replicas: 1, logStatements: true })
  await cluster.primary.sql('create table boats (id serial primary key, name text not null, berth int)')
  await cluster.waitForCatchup()
  db = createRouter({
    ...PATIENT,
    primary: cluster.url,
    replicas: [...cluster.urls.replicas],
    pool: { ...PATIENT.pool, max: 5, application_name: APPLICATION },
  })
  await settled(db, 1)
})

beforeEach(async () => {
  await cluster.primary.sql('truncate boats restart identity')
  for (const node of cluster.nodes) node.clearLog()
})

afterAll(async () => {
  await db?.close()
  await cluster?.close()
})

interface Logged {
  readonly server: number
  readonly pid: number
  readonly text: string
}

/** What the servers themselves say they were asked, by whom. */
function logged(): Logged[] {
  return cluster.nodes.flatMap((node) =>
    node
      .log()
      .filter((entry) => entry.severity === 'LOG' && entry.statement !== undefined)
      .map((entry) => {
        expect(entry.application, 'who else opened a connection').toBe(APPLICATION)
        return { server: node.port, pid: entry.pid, text: (entry.statement ?? '').toLowerCase() }
      }),
  )
}

/** The statements between BEGIN and COMMIT or ROLLBACK, by the backend that ran them. */
function transactions(): string[][] {
  const open = new Map<number, string[]>()
  const found: string[][] = []
  for (const { pid, text: statement } of logged()) {
    if (/^(begin|start transaction)/.test(statement)) open.set(pid, [])
    else if (/^(commit|rollback);?$/.test(statement)) {
      found.push(open.get(pid) ?? [])
      open.delete(pid)
    } else open.get(pid)?.push(statement)
  }
  expect([...open.values()], 'transactions without an end').toEqual([])
  return found
}

function expectTransaction(...patterns: RegExp[]) {
  const wanted = patterns.map((pattern) => expect.stringMatching(pattern))
  expect(transactions()).toContainEqual(wanted)
  // Nothing that belongs into the transaction ran anywhere else.
  for (const pattern of patterns) {
    expect(logged().filter((entry) => pattern.test(entry.text)).length, String(pattern)).toBe(1)
  }
}

function expectReadOnReplica(pattern: RegExp) {
  const read = logged().find((entry) => pattern.test(entry.text))
  expect(read?.server).toBe(cluster.replicas[0]?.port)
}

async function names(): Promise<unknown[]> {
  return (await cluster.primary.sql('select name from boats order by id')).map((row) => row.name)
}

describe('Drizzle takes the router as its pool', () => {
  const boats = pgTable('boats', { id: serial().primaryKey(), name: text().notNull(), berth: integer() })

  test('and creates, reads, updates and deletes, reading from a replica', async () => {
    const orm = drizzle(db)
    await orm.insert(boats).values([{ name: 'Osprey' }, { name: 'Heron' }])
    await orm.update(boats).set({ berth: 4 }).where(eq(boats.name, 'Osprey'))
    await orm.delete(boats).where(eq(boats.name, 'Heron'))
    expect(await orm.select().from(boats)).toEqual([{ id: 1, name: 'Osprey', berth: 4 }])
    expectReadOnReplica(/^select .* from "boats"/)
  })

  test('and runs a transaction on one connection, which rolls back as a whole', async () => {
    const orm = drizzle(db)
    await orm.transaction(async (tx) => {
      await tx.insert(boats).values({ name: 'Tern' })
      await tx.select({ n: count() }).from(boats)
      await tx.update(boats).set({ berth: 1 }).where(eq(boats.name, 'Tern'))
    })
    expectTransaction(/^insert into "boats"/, /^select count/, /^update "boats"/)
    const failing = orm.transaction(async (tx) => {
      await tx.insert(boats).values({ name: 'Gull' })
      throw new Error('changed my mind')
    })
    await expect(failing).rejects.toThrow('changed my mind')
    expect(await names()).toEqual(['Tern'])
  })
})

describe('Kysely takes the router as its pool', () => {
  interface Tables {
    boats: { id: Generated<number>; name: string; berth: number | null }
  }
  const orm = () => new Kysely<Tables>({ dialect: new PostgresDialect({ pool: async () => db }) })

  test('and creates, reads, updates and deletes, reading from a replica', async () => {
    const kysely = orm()
    await kysely
      .insertInto('boats')
      .values([{ name: 'Osprey' }, { name: 'Heron' }])
      .execute()
    await kysely.updateTable('boats').set({ berth: 4 }).where('name', '=', 'Osprey').execute()
    await kysely.deleteFrom('boats').where('name', '=', 'Heron').execute()
    expect(await kysely.selectFrom('boats').selectAll().execute()).toEqual([
      { id: 1, name: 'Osprey', berth: 4 },
    ])
    expectReadOnReplica(/^select \* from "boats"/)
  })

  test('and runs a transaction on one connection, which rolls back as a whole', async () => {
    const kysely = orm()
    await kysely.transaction().execute(async (tx) => {
      await tx.insertInto('boats').values({ name: 'Tern' }).execute()
      await tx.selectFrom('boats').select('name').execute()
      await tx.updateTable('boats').set({ berth: 1 }).execute()
    })
    expectTransaction(/^insert into "boats"/, /^select "name"/, /^update "boats"/)
    const failing = kysely.transaction().execute(async (tx) => {
      await tx.insertInto('boats').values({ name: 'Gull' }).execute()
      throw new Error('changed my mind')
    })
    await expect(failing).rejects.toThrow('changed my mind')
    expect(await names()).toEqual(['Tern'])
  })
})

describe("Prisma's adapter-pg takes the router as its pool", () => {
  const plain = (sql: string) => ({ sql, args: [], argTypes: [] })

  test('and creates, reads, updates and deletes, reading from a replica', async () => {
    const adapter = await new PrismaPg(db).connect()
    expect(await adapter.executeRaw(plain("insert into boats (name) values ('Osprey'), ('Heron')"))).toBe(2)
    expect(await adapter.executeRaw(plain("update boats set berth = 4 where name = 'Osprey'"))).toBe(1)
    expect(await adapter.executeRaw(plain("delete from boats where name = 'Heron'"))).toBe(1)
    const { columnNames, rows } = await adapter.queryRaw(plain('select name, berth from boats'))
    expect({ columnNames, rows }).toEqual({ columnNames: ['name', 'berth'], rows: [['Osprey', 4]] })
    expectReadOnReplica(/^select name, berth from boats/)
    await adapter.dispose()
    // Whoever opened it closes it.
    expect((await db.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  })

  test('and runs a transaction on one connection, which rolls back as a whole', async () => {
    const adapter = await new PrismaPg(db).connect()
    const commit = await adapter.startTransaction('REPEATABLE READ')
    await commit.executeRaw(plain("insert into boats (name) values ('Tern')"))
    await commit.queryRaw(plain('select name from boats'))
    await commit.executeRaw(plain('COMMIT'))
    await commit.commit()
    expectTransaction(/^set transaction isolation/, /^insert into boats/, /^select name/)
    const rollback = await adapter.startTransaction()
    await rollback.executeRaw(plain("insert into boats (name) values ('Gull')"))
    await rollback.executeRaw(plain('ROLLBACK'))
    await rollback.rollback()
    expect(await names()).toEqual(['Tern'])
  })
})

describe('Knex takes the router as its connectionPool', () => {
  test('and creates, reads, updates and deletes, reading from a replica', async () => {
    const knex = createKnex({ client: 'pg', connectionPool: db })
    await knex('boats').insert([{ name: 'Osprey' }, { name: 'Heron' }])
    await knex('boats').where({ name: 'Osprey' }).update({ berth: 4 })
    await knex('boats').where({ name: 'Heron' }).del()
    expect(await knex('boats').select()).toEqual([{ id: 1, name: 'Osprey', berth: 4 }])
    expectReadOnReplica(/^select \* from "boats"/)
    await knex.destroy()
    expect((await db.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  })

  test('and runs a transaction on one connection, which rolls back as a whole', async () => {
    const knex = createKnex({ client: 'pg', connectionPool: db })
    await knex.transaction(async (tx) => {
      await tx('boats').insert({ name: 'Tern' })
      await tx('boats').select('name')
      await tx('boats').update({ berth: 1 })
    })
    expectTransaction(/^insert into "boats"/, /^select "name"/, /^update "boats"/)
    const failing = knex.transaction(async (tx) => {
      await tx('boats').insert({ name: 'Gull' })
      throw new Error('changed my mind')
    })
    await expect(failing).rejects.toThrow('changed my mind')
    expect(await names()).toEqual(['Tern'])
    await knex.destroy()
  })
})

describe('TypeORM takes the router as its driver', () => {
  interface Boat {
    id: number
    name: string
    berth: number | null
  }
  const Boats = new EntitySchema<Boat>({
    name: 'boats',
    columns: {
      id: { type: Number, primary: true, generated: true },
      name: { type: 'text' },
      berth: { type: Number, nullable: true },
    },
  })
  const orm = async () =>
    await new DataSource({ type: 'postgres', driver: typeormDriver(db), entities: [Boats] }).initialize()

  test('and creates, reads, updates and deletes, reading from a replica', async () => {
    const listeners = db.listenerCount('error')
    const dataSource = await orm()
    const boats = dataSource.getRepository(Boats)
    await boats.insert([{ name: 'Osprey' }, { name: 'Heron' }])
    await boats.update({ name: 'Osprey' }, { berth: 4 })
    await boats.delete({ name: 'Heron' })
    expect(await boats.find()).toEqual([{ id: 1, name: 'Osprey', berth: 4 }])
    expectReadOnReplica(/^select .* from "boats"/)
    await dataSource.destroy()
    expect((await db.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    expect(db.listenerCount('error')).toBe(listeners)
  })

  test('and runs a transaction on one connection, which rolls back as a whole', async () => {
    const dataSource = await orm()
    await dataSource.transaction(async (tx) => {
      await tx.insert(Boats, { name: 'Tern' })
      await tx.count(Boats)
      await tx.update(Boats, { name: 'Tern' }, { berth: 1 })
    })
    expectTransaction(/^insert into "boats"/, /^select count/, /^update "boats"/)
    const failing = dataSource.transaction(async (tx) => {
      await tx.insert(Boats, { name: 'Gull' })
      throw new Error('changed my mind')
    })
    await expect(failing).rejects.toThrow('changed my mind')
    expect(await names()).toEqual(['Tern'])
    await dataSource.destroy()
  })
})

test('a second copy of pg, which would open a pool of its own with the router as options, is named', () => {
  expect(() => new pg.Pool(db as never)).toThrow(/second copy of pg/)
})
