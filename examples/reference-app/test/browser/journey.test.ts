import { mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { SystemStatus } from '../../contract/status.ts'
import { pdf, Visitor } from '../support/visitor.ts'
import { signInAsEmployer, signUp, startWorld, type World } from '../support/world.ts'

const SHOTS = fileURLToPath(new URL('../../../../.cays/screenshots', import.meta.url))
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const WIDTHS = [360, 768, 1280]

let world: World

beforeAll(async () => {
  mkdirSync(SHOTS, { recursive: true })
  world = await startWorld()
}, 180_000)
afterAll(() => world?.close(), 60_000)

/** What axe finds on the page as it is now. */
async function violations(page: Page): Promise<string[]> {
  // Evaluated and not added as a script: the pages' own policy refuses foreign scripts, as it should.
  await page.evaluate(AXE)
  const found = await page.evaluate(async () => {
    const { axe } = globalThis as unknown as {
      readonly axe: {
        run(): Promise<{
          readonly violations: readonly {
            readonly id: string
            readonly nodes: readonly { readonly html: string }[]
          }[]
        }>
      }
    }
    return (await axe.run()).violations.map(
      ({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 160)).join(' | ')}`,
    )
  })
  return found.map((violation) => `${page.url()} ${violation}`)
}

async function socketsPerNode(): Promise<number[]> {
  const { nodes } = await new Visitor(world.stack.url).call<SystemStatus>('GET', '/status')
  return nodes.map((node) => node.sockets)
}

describe('two people on two nodes', () => {
  it('meet over a job while both nodes are replaced under them, and nothing fails', async () => {
    const [employer, seeker] = await Promise.all([world.person(), world.person()])
    await signUp(employer.page, 'employer', 'Devon Pinder')
    await signUp(seeker.page, 'seeker', 'Alice Moss')
    await expect.poll(socketsPerNode, { timeout: 20_000 }).toEqual([1, 1])

    // The employer posts a job.
    await employer.page.goto('/employer/jobs/new')
    await employer.page.getByLabel('Title').fill('Bonefish Guide')
    await employer.page.getByLabel('Island').selectOption('Andros')
    await employer.page.getByLabel('Town or settlement').fill('Andros Town')
    await employer.page.getByLabel('Trade').selectOption('Tourism')
    await employer.page.getByLabel('Pay from').fill('32,000')
    await employer.page.getByLabel('Pay to').fill('40,000')
    await employer.page
      .getByLabel('Description')
      .fill('Pole a skiff over the flats and find fish for people who have waited all year.')
    await employer.page.getByRole('button', { name: 'Post the job' }).click()
    await employer.page.waitForURL(/\/(employer\/)?jobs\/[0-9a-f-]{36}/)
    const jobId = /[0-9a-f-]{36}/.exec(employer.page.url())?.[0] ?? ''
    await employer.page.goto(`/employer/jobs/${jobId}`)
    await employer.page.getByText('Nobody applied yet').waitFor()

    // The seeker finds it by typing, and applies with a large PDF, pausing once.
    await seeker.page.goto('/')
    await seeker.page.getByRole('searchbox').fill('bonefish')
    await seeker.page.locator(`a[href="/jobs/${jobId}"]`).first().click()
    await seeker.page.waitForURL(`**/jobs/${jobId}`)
    await seeker.page.goto(`/jobs/${jobId}/apply`)
    const uploads: string[] = []
    seeker.page.on('request', (request) => {
      if (request.method() === 'PUT') uploads.push(new URL(request.url()).origin)
    })
    await seeker.page
      .locator('input[type=file]')
      .setInputFiles({ name: 'Alice Moss.pdf', mimeType: 'application/pdf', buffer: pdf(18 * 2 ** 20) })
    await seeker.page.getByText('Arrived').waitFor({ timeout: 60_000 })
    await seeker.page.getByLabel('A few words to the employer').fill('I know where they feed.')
    await seeker.page.getByRole('button', { name: 'Send application' }).click()
    await seeker.page.getByText('Your application is on its way').waitFor({ timeout: 30_000 })
    expect(uploads.length).toBeGreaterThan(1)
    expect(new Set(uploads)).toEqual(new Set([world.stack.r2.url]))

    // It arrives on the employer's board by itself.
    await employer.page.getByRole('article', { name: 'Alice Moss' }).waitFor({ timeout: 20_000 })
    await seeker.page.goto('/applications')
    const card = seeker.page.getByRole('article', { name: /Bonefish Guide/ })
    await card.waitFor()

    // Both nodes are replaced while both people go on.
    for (const node of world.stack.nodes) {
      const restart = node.stop().then(() => node.start())
      let restarted = false
      void restart.finally(() => {
        restarted = true
      })
      while (!restarted) {
        await employer.page.evaluate(() => fetch('/api/v1/employer/jobs').then((answer) => answer.text()))
        await seeker.page.evaluate(() => fetch('/api/v1/applications').then((answer) => answer.text()))
      }
      await restart
    }

    // The status changes before the seeker's eyes, over sockets that have moved meanwhile.
    const before = await card.getAttribute('aria-label')
    await employer.page.getByLabel('Status of Alice Moss').selectOption('interview')
    await expect.poll(() => card.getAttribute('aria-label'), { timeout: 20_000 }).not.toBe(before)
    await seeker.page.getByRole('button', { name: /Notifications, 1 new/ }).waitFor({ timeout: 10_000 })

    expect(await violations(employer.page)).toEqual([])
    expect(await violations(seeker.page)).toEqual([])
    expect([...employer.wrong, ...seeker.wrong]).toEqual([])
    await Promise.all([employer.context.close(), seeker.context.close()])
  }, 180_000)
})

describe('the built pages', () => {
  /** As a browser asks: what travels, and what of it may be kept. */
  const get = async (path: string, headers: Record<string, string>) => {
    const answer = await fetch(`${world.stack.url}${path}`, { headers })
    await answer.arrayBuffer()
    return { status: answer.status, header: (name: string) => answer.headers.get(name) }
  }

  it('travel compressed, are kept for a year under their hashed names, and asked for again under others', async () => {
    const html = await (await fetch(world.stack.url)).text()
    const scripts = [...html.matchAll(/(?:src|href)="(\/assets\/[^"]+\.js)"/g)].map(([, path]) => path ?? '')
    expect(scripts.length).toBeGreaterThan(0)
    const bytes = { br: 0, gzip: 0 }
    for (const path of scripts) {
      const plain = await get(path, { 'accept-encoding': 'identity' })
      const etags = new Set([plain.header('etag')])
      for (const encoding of ['br', 'gzip'] as const) {
        const { status, header } = await get(path, { 'accept-encoding': encoding })
        expect(status).toBe(200)
        bytes[encoding] += Number(header('content-length'))
        expect(header('cache-control')).toBe('public, max-age=31536000, immutable')
        // Without a word about caches fetch would ask for a fresh copy, as a forced reload does.
        const known = {
          'accept-encoding': encoding,
          'if-none-match': header('etag') ?? '',
          'cache-control': 'max-age=0',
        }
        expect((await get(path, known)).status).toBe(304)
        // Too small a file is the same for everyone.
        if (Number(plain.header('content-length')) < 1_000) continue
        expect(header('content-encoding')).toBe(encoding)
        expect(header('vary')).toContain('Accept-Encoding')
        expect(etags.has(header('etag'))).toBe(false)
        etags.add(header('etag'))
      }
    }
    expect(bytes.br).toBeLessThan(120_000)
    expect(bytes.gzip).toBeLessThan(135_000)
    expect((await get('/', {})).header('cache-control')).toBe('no-cache')
    expect((await get('/assets/none.js', {})).status).toBe(404)
  })
})

describe('every screen', () => {
  it('stands at three widths in both themes, and axe finds nothing', async () => {
    const employer = await world.person()
    await signInAsEmployer(employer.page)
    const visitor = await world.person()
    const { items } = await new Visitor(world.stack.url).call<{
      readonly items: readonly { readonly id: string }[]
    }>('GET', '/jobs')
    const mine: readonly { readonly id: string; readonly applications: number }[] = await (
      await employer.page.request.get('/api/v1/employer/jobs')
    ).json()
    const busiest = mine.toSorted((a, b) => b.applications - a.applications)[0]
    const found: string[] = []
    const look = async (page: Page, screens: readonly (readonly [name: string, path: string])[]) => {
      for (const [name, path] of screens) {
        await page.goto(path)
        await page.waitForLoadState('networkidle').catch(() => {})
        for (const theme of ['light', 'dark'] as const) {
          await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' })
          for (const width of WIDTHS) {
            await page.setViewportSize({ width, height: 900 })
            await page.screenshot({ path: join(SHOTS, `${name}-${theme}-${width}.png`) })
            const overflow = await page.evaluate(
              () => document.documentElement.scrollWidth - window.innerWidth,
            )
            if (overflow > 0) found.push(`${name} at ${width} is ${overflow} px too wide`)
          }
          found.push(...(await violations(page)))
        }
        expect(await page.title(), name).not.toBe('')
        expect(await page.locator('main').count(), name).toBe(1)
      }
    }
    await Promise.all([
      look(visitor.page, [
        ['jobs', '/'],
        ['nothing-found', '/?q=zzzz'],
        ['job', `/jobs/${items[0]?.id}`],
        ['sign-in', '/sign-in'],
        ['status', '/status'],
        ['not-found', '/no-such-page'],
      ]),
      look(employer.page, [
        ['employer', '/employer'],
        ['board', `/employer/jobs/${busiest?.id}`],
        ['post-a-job', '/employer/jobs/new'],
        ['account', '/account'],
      ]),
    ])
    expect(found).toEqual([])
    expect([...employer.wrong, ...visitor.wrong]).toEqual([])
    await Promise.all([employer.context.close(), visitor.context.close()])
  }, 180_000)

  it('says so when the network is gone, and recovers', async () => {
    const { page, context } = await world.person()
    await page.goto('/')
    await page.getByRole('link', { name: /./ }).first().waitFor()
    await context.setOffline(true)
    await page
      .getByText(/offline/i)
      .first()
      .waitFor({ timeout: 10_000 })
    await context.setOffline(false)
    await expect.poll(() => page.getByText(/offline/i).count(), { timeout: 10_000 }).toBe(0)
    await context.close()
  })
})
