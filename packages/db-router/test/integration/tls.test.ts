import { type PostgresCluster, startPostgres } from '@cays/testkit'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createRouter, type Router } from '../../src/index.ts'
import { PATIENT, settled } from '../settled.ts'

/** A certificate of 127.0.0.1 until 2120, by itself, and its key: good for nothing but this test. */
const CERTIFICATE = pem(
  'CERTIFICATE',
  'MIIBZjCCAQugAwIBAgIBATAKBggqhkjOPQQDAjAaMRgwFgYDVQQDDA9kYi1yb3V0ZXIgdGVzdHMwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBoxGDAWBgNVBAMMD2RiLXJvdXRlciB0ZXN0czBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABLD43LnJwk8fSXrJopspHffDDFzHQsuMYgC4wiwtOi59wm0at0Pz8GxJFWUs4udH1ESyMdrsHHQ/O6Ck5oYe6oCjQDA+MAwGA1UdEwQFMAMBAf8wDwYDVR0RBAgwBocEfwAAATAdBgNVHQ4EFgQUDILEeOkTKbCDPExogZIfU1xBL6gwCgYIKoZIzj0EAwIDSQAwRgIhAOpBzP0JNuLOFwVYqJuzrRHzLEJPwkiyh3bSq7wLnFjiAiEAr2yAG7bDGzimOyFglprFgQIuT8mR/rQ0yqEvl7ONrUs=',
)
const KEY = pem(
  'PRIVATE KEY',
  'MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgM94BbIOtJxBTKgOe3Lct2BTwqpb8t203X26iyPwl5QGhRANCAASw+Ny5ycJPH0l6yaKbKR33wwxcx0LLjGIAuMIsLToufcJtGrdD8/BsSRVlLOLnR9REsjHa7Bx0PzugpOaGHuqA',
)
const APPLICATION = 'the router'

function pem(label: string, base64: string): string {
  return `-----BEGIN ${label}-----\n${base64.match(/.{1,64}/g)?.join('\n')}\n-----END ${label}-----\n`
}

let cluster: PostgresCluster
let db: Router

beforeAll(async () => {
  cluster = await startPostgres({ replicas: 0 })
  const { primary } = cluster
  for (const [name, text] of [
    ['server.crt', CERTIFICATE],
    ['server.key', KEY],
  ]) {
    // The server writes them into its own folder, as its own user.
    await primary.sql(
      `copy (select regexp_split_to_table('${text}', '\\n')) to program 'umask 077; cat > ${name}'`,
    )
  }
  await cluster.addReplica()
  for (const node of cluster.nodes) await node.configure({ ssl: 'on' })
  await cluster.waitForCatchup()
  db = createRouter({
    ...PATIENT,
    primary: cluster.url,
    replicas: cluster.urls.replicas,
    pool: { ...PATIENT.pool, application_name: APPLICATION, ssl: { ca: CERTIFICATE } },
  })
  await settled(db, 1)
})

afterAll(async () => {
  await db?.close()
  await cluster?.close()
})

test('every connection is encrypted, those that probe servers too, and servers are who they say', async () => {
  for (const route of ['primary', 'replica'] as const) {
    expect((await db.query({ text: 'select 1 as one', route })).rows).toEqual([{ one: 1 }])
  }
  for (const node of cluster.nodes) {
    const found = await node.sql(
      `select ssl::text, count(*) > 1 as several from pg_stat_ssl join pg_stat_activity using (pid)
       where application_name = '${APPLICATION}' group by ssl`,
    )
    expect(found).toEqual([{ ssl: 'true', several: 't' }])
  }
  await using stranger = createRouter({
    primary: cluster.url,
    pool: { ssl: { rejectUnauthorized: true } },
    buffer: { window: 1 },
  })
  await stranger.health()
  await expect(stranger.query('select 1')).rejects.toMatchObject({ outcome: 'not-executed' })
})

test('aborting stops a statement over TLS as well, and leaves the router usable', async () => {
  const running = async () =>
    (
      await cluster.primary.sql(
        "select from pg_stat_activity where state = 'active' and query = 'select pg_sleep(61)'",
      )
    ).length
  const controller = new AbortController()
  const slow = db.query({ text: 'select pg_sleep(61)', route: 'primary', signal: controller.signal })
  await expect.poll(running).toBe(1)
  controller.abort(new Error('the visitor left'))
  await expect(slow).rejects.toThrow('the visitor left')
  await expect.poll(running).toBe(0)
  expect((await db.query('select 1 as one')).rows).toEqual([{ one: 1 }])
})
