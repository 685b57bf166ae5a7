import { describe, expect, inject, it } from 'vitest'
import { runProgram } from './consumer.ts'

// Two requests each, of which the limit allows one. Fields are there, so the framework's own API was used right.
const RATE_LIMITS = `
import { createServer } from 'node:http'
import express from 'express'
import { rateLimit } from 'express-rate-limit'
import fastify from 'fastify'
import { Hono } from 'hono'
import { createRateLimiter, fixedWindow } from '@cays/ratelimit'
import { expressRateLimit } from '@cays/ratelimit/express'
import { expressRateLimitStore } from '@cays/ratelimit/express-rate-limit'
import { fastifyRateLimit } from '@cays/ratelimit/fastify'
import { honoRateLimit } from '@cays/ratelimit/hono'

const limiterOf = () => createRateLimiter({ policies: { api: fixedWindow({ limit: 1, per: '1h' }) } })
const told = (response) => [response.status, response.headers.get('retry-after')]
const both = async (ask) => [told(await ask()), told(await ask())]

async function served(middleware) {
  const app = express().use(middleware)
  app.get('/', (request, response) => response.send('ok'))
  const server = createServer(app)
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const answers = await both(() => fetch('http://127.0.0.1:' + server.address().port))
  server.close()
  server.closeAllConnections()
  return answers
}

async function injected(options) {
  const app = fastify(options)
  app.addHook('onRequest', fastifyRateLimit(limiterOf()))
  app.get('/', async () => 'ok')
  const ask = async () => {
    const { statusCode, headers, body } = await app.inject('/')
    return { status: statusCode, headers: new Headers(headers), body }
  }
  return options.trustProxy === true ? JSON.parse((await ask()).body).code : await both(ask)
}

const hono = new Hono().use('*', honoRateLimit(limiterOf(), { key: () => 'one' })).get('/', (context) => context.text('ok'))
const store = expressRateLimitStore(limiterOf())
console.log(JSON.stringify({
  express: await served(expressRateLimit(limiterOf())),
  store: await served(rateLimit({ limit: 1, windowMs: 3_600_000, legacyHeaders: true, store, validate: false })),
  fastify: await injected({}),
  proxied: await injected({ trustProxy: 1 }),
  anybody: await injected({ trustProxy: true }),
  hono: await both(() => hono.request('/')),
}))
`

describe.each(['lowest', 'newest'] as const)('with the %s version of every framework', (versions) => {
  it('rate limits hold', async () => {
    const answers = await runProgram(inject(versions), RATE_LIMITS)
    const held = [
      [200, null],
      [429, '3600'],
    ]
    expect(answers).toEqual({
      express: held,
      store: held,
      fastify: held,
      proxied: held,
      anybody: 'LIMIT_ERR_PROXY',
      hono: held,
    })
  })
})
