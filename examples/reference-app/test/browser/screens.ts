import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Page } from 'playwright-core'
import { describe, expect, it } from 'vitest'
import { violations } from '../support/axe.ts'
import { Visitor } from '../support/visitor.ts'
import { signInAsEmployer, type World } from '../support/world.ts'

const SHOTS = fileURLToPath(new URL('../../../../.cays/screenshots', import.meta.url))
const WIDTHS = [360, 768, 1280]

export function screens(world: () => World): void {
  describe('every screen', () => {
    it('stands at three widths in both themes, and axe finds nothing', async () => {
      const employer = await world().person()
      await signInAsEmployer(employer.page)
      const visitor = await world().person()
      const { items } = await new Visitor(world().stack.url).call<{
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
          await page.getByRole('heading', { level: 1 }).first().waitFor()
          await expect.poll(() => page.getByRole('status', { name: 'Loading' }).count()).toBe(0)
          for (const theme of ['light', 'dark'] as const) {
            await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' })
            for (const width of WIDTHS) {
              await page.setViewportSize({ width, height: 900 })
              const tooWide = () =>
                page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)
              await expect.poll(tooWide, `${name} at ${width}`).toBeLessThanOrEqual(0)
              if (theme === 'light') await page.screenshot({ path: join(SHOTS, `${name}-${width}.png`) })
            }
            found.push(...(await violations(page)))
            if (theme === 'dark') await page.screenshot({ path: join(SHOTS, `${name}-dark.png`) })
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
      const { page, context } = await world().person()
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
}
