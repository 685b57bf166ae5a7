import { fileURLToPath } from 'node:url'
import { type FaultProxy, startFaultProxy } from '@cays/testkit'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import { build, type Rollup } from 'vite'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { startHiddenBrowser } from '../support/hidden-tab.ts'
import { startLocalNode } from '../support/local-node.ts'
import type { TestPage } from '../support/page.ts'
import { faultsOf, passes, startCounting } from '../support/recorder.ts'

declare const page: TestPage

let browser: Browser
let hiddenBrowser: Awaited<ReturnType<typeof startHiddenBrowser>>
let script: string
let node: Awaited<ReturnType<typeof startLocalNode>>
let proxy: FaultProxy
let context: BrowserContext
let tab: Page
const closers: (() => unknown)[] = []

beforeAll(async () => {
  await Promise.all([bundle(), launch(), startHiddenBrowser().then((started) => (hiddenBrowser = started))])
}, 180_000)
afterAll(async () => {
  await browser?.close()
  await hiddenBrowser?.close()
})

async function bundle() {
  const [built] = (await build({
    configFile: false,
    logLevel: 'silent',
    define: { 'process.env.NODE_ENV': '"production"' },
    resolve: { conditions: ['@cays/source'] },
    build: {
      write: false,
      target: 'es2022',
      lib: {
        entry: fileURLToPath(new URL('../support/page.ts', import.meta.url)),
        formats: ['iife'],
        name: 'bundle',
      },
    },
  })) as Rollup.RollupOutput[]
  script = built?.output[0].code ?? ''
}

async function launch() {
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    // Playwright switches off what is tested here.
    ignoreDefaultArgs: ['--disable-back-forward-cache'],
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-background-networking'],
  })
}

async function serve(options: Parameters<typeof startLocalNode>[0] = {}) {
  const html =
    '<!doctype html><meta charset="utf-8"><title>page</title><body><script src="/page.js"></script>'
  node = await startLocalNode(
    { history: { size: 20_000 }, ...options },
    { '/': html, '/page.js': script, '/other': '<!doctype html><title>other</title>' },
  )
  proxy = await startFaultProxy({ port: node.port })
  context = await browser.newContext({ baseURL: `http://127.0.0.1:${proxy.port}` })
  tab = await context.newPage()
  await tab.goto('/')
}
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
  await context.close()
  await proxy.close()
  await node.close()
})

function count() {
  const room = node.realtime.room('job:{id}', { id: 1 } as never)
  const counting = startCounting((n, idempotencyKey) =>
    room.publish('n' as never, n as never, { idempotencyKey }),
  )
  closers.push(counting.stop)
  return counting
}

const status = () => tab.evaluate(() => page.status())
const seen = () => tab.evaluate(() => ({ numbers: page.numbers, gaps: page.gaps }))

async function joined(options: Parameters<TestPage['start']>[0] = {}) {
  await tab.evaluate((given) => page.start(given), options)
  await expect.poll(status).toBe('subscribed')
}

async function expectComplete(last: number) {
  await expect.poll(async () => (await seen()).numbers.at(-1)).toBe(last)
  const { numbers, gaps } = await seen()
  expect(faultsOf({ numbers: [...numbers], gaps: [...gaps] })).toEqual([])
  expect(gaps).toEqual([])
  expect(numbers).toHaveLength(last)
}

describe('a page in Chromium loses, doubles and reorders nothing', () => {
  it('when it goes offline and comes back, which it notices at once', async () => {
    await serve()
    await joined({ patient: true })
    const counting = count()
    await passes(counting, 10)
    proxy.refuse()
    proxy.reset()
    await expect.poll(status).toBe('recovering')
    await context.setOffline(true)
    await passes(counting, 20)
    await proxy.accept()
    await context.setOffline(false)
    await expect.poll(status).toBe('subscribed')
    await expectComplete(await counting.stop())
  })

  it('when its tab is frozen until the server has given it up, and thawed', async () => {
    await serve({ heartbeat: 300 })
    const hidden = await hiddenBrowser.openTab(`http://127.0.0.1:${proxy.port}/`)
    closers.push(() => hidden.close())
    await expect.poll(() => hidden.evaluate('document.visibilityState + typeof page')).toBe('hiddenobject')
    await hidden.evaluate('page.start()')
    await expect.poll(() => hidden.evaluate('page.status()')).toBe('subscribed')
    const counting = count()
    await passes(counting, 10)
    await hidden.freeze()
    await expect.poll(() => node.realtime.health().connections).toBe(0)
    await hidden.thaw()
    await passes(counting, 10)
    const last = await counting.stop()
    const seen = async () =>
      JSON.parse(String(await hidden.evaluate('JSON.stringify({ numbers: page.numbers, gaps: page.gaps })')))
    await expect.poll(async () => (await seen()).numbers.at(-1)).toBe(last)
    const { numbers, gaps } = await seen()
    expect({ faults: faultsOf({ numbers, gaps }), gaps }).toEqual({ faults: [], gaps: [] })
    expect(numbers).toHaveLength(last)
  })

  it('when it is left and restored from the back/forward cache', async () => {
    await serve()
    await joined()
    const counting = count()
    await passes(counting, 10)
    await tab.goto('/other')
    await expect.poll(() => node.realtime.health().connections).toBe(0)
    await passes(counting, 20)
    await tab.goBack({ waitUntil: 'commit' })
    await expect.poll(() => tab.evaluate(() => page.shown)).toEqual([false, true])
    await expectComplete(await counting.stop())
  })

  it('over event streams, when they are reset again and again', async () => {
    await serve()
    await joined({ eventStream: true })
    const counting = count()
    for (let round = 0; round < 3; round++) {
      await passes(counting, 10)
      proxy.reset()
    }
    await expectComplete(await counting.stop())
  })
})

describe('frames that are compressed once for all', () => {
  it('are what Chromium agrees on and reads', async () => {
    await serve({ compression: true })
    const text = 'Diver on Exuma, é ☃ '.repeat(500)
    const answer = tab.evaluate(
      () =>
        new Promise((resolve) => {
          const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/rt`, 'rt1.json')
          socket.onopen = () => socket.send('["hello",1,"ann",null,[[2,"job:1"]]]')
          socket.onmessage = ({ data }) => {
            const message = JSON.parse(data)
            if (message[0] === 'm') resolve([socket.extensions, message[4]])
          }
        }),
    )
    await expect.poll(() => node.realtime.connections().flatMap(({ rooms }) => rooms)).toEqual(['job:1'])
    // Until it has joined.
    const publishing = startCounting(() =>
      node.realtime.room('job:{id}', { id: 1 } as never).publish('n' as never, text as never),
    )
    closers.push(publishing.stop)
    expect(await answer).toEqual([expect.stringMatching(/^permessage-deflate/), text])
  })
})

describe('the React hooks in Chromium', () => {
  it('show messages, presence and the connection, and leave with the component', async () => {
    await serve()
    const room = node.realtime.room('job:{id}', { id: 1 } as never)
    const unmount = await tab.evaluateHandle(() => page.render())
    const output = () => tab.textContent('output')
    await expect.poll(output).toBe('connected subscribed 0 ann')
    for (const n of [1, 2, 3]) await room.publish('n' as never, n as never)
    await expect.poll(output).toBe('connected subscribed 6 ann')
    const members = () => node.realtime.presence('job:{id}', { id: 1 } as never)
    expect(await members()).toEqual([{ userId: 'ann', data: { via: 'react' } }])
    await tab.evaluate((leave) => leave(), unmount)
    await expect.poll(members).toEqual([])
  })
})
