import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type BrowserContext, chromium, type Page } from 'playwright-core'
import { DEMO_PASSWORD, type Stack, startStack } from '../../server/demo/stack.ts'

const APP = fileURLToPath(new URL('../..', import.meta.url))
const VITE = join(APP, 'node_modules/vite/bin/vite.js')

/** One person at one screen, and everything that went wrong for them. */
export interface Person {
  readonly page: Page
  readonly context: BrowserContext
  readonly wrong: string[]
}

/** The whole stack with its built pages, and a browser for as many people as a test needs. */
export interface World {
  readonly stack: Stack
  person(): Promise<Person>
  close(): Promise<void>
}

export async function startWorld(): Promise<World> {
  // As `npm start` builds them: this process says NODE_ENV=test, which would make another React.
  const { NODE_ENV: _, ...env } = process.env
  const pages = promisify(execFile)(process.execPath, [VITE, 'build', 'web', '--logLevel', 'error'], {
    cwd: APP,
    env,
  })
  const [stack, browser] = await Promise.all([
    startStack({ pages }),
    chromium.launch({
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    }),
  ])
  return {
    stack,
    async person() {
      const context = await browser.newContext({
        viewport: { width: 1280, height: 900 },
        baseURL: stack.url,
        reducedMotion: 'reduce',
      })
      const page = await context.newPage()
      const wrong: string[] = []
      page.on('console', (message) => {
        if (message.type() === 'error' || message.type() === 'warning')
          wrong.push(`console: ${message.text()}`)
      })
      page.on('pageerror', (error) => wrong.push(`page: ${error.message}`))
      page.on('response', (answer) => {
        if (answer.status() >= 500)
          wrong.push(`${answer.status()} ${answer.request().method()} ${answer.url()}`)
      })
      page.on('requestfailed', (request) => {
        // What a page asked for before it was left is not a failure.
        const why = request.failure()?.errorText ?? ''
        if (why !== 'net::ERR_ABORTED') wrong.push(`${why} ${request.method()} ${request.url()}`)
      })
      return { page, context, wrong }
    },
    async close() {
      await browser.close()
      await stack.close()
    },
  }
}

export async function signUp(page: Page, role: 'seeker' | 'employer', name: string): Promise<void> {
  await page.goto('/sign-up')
  if (role === 'employer') {
    await page.locator('input[name=role][value=employer]').check({ force: true })
    await page.getByLabel('Company').fill('Lantern Kitchens')
  }
  await page.getByLabel('Your name').fill(name)
  await page.getByLabel('E-mail').fill(`${name.toLowerCase().replace(/\W+/g, '.')}@harbour.example`)
  await page.getByLabel('Password').fill('a long enough password')
  await page.locator('form button[type=submit]').click()
  await page.waitForURL(role === 'employer' ? '**/employer' : (url) => url.pathname === '/')
}

export async function signInAsEmployer(page: Page): Promise<void> {
  await page.goto('/sign-in')
  await page.getByLabel('E-mail').fill('employer@harbour.example')
  await page.getByLabel('Password').fill(DEMO_PASSWORD)
  await page.locator('form button[type=submit]').click()
  await page.waitForURL('**/employer')
}
