import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { SystemStatus } from '../../contract/status.ts'
import { violations } from '../support/axe.ts'
import { pdf, Visitor } from '../support/visitor.ts'
import { signUp, type World } from '../support/world.ts'

/** One request of the page itself, and the moment until its visitor thinks of another. */
async function ask(page: Page, path: string): Promise<void> {
  await page.evaluate(async (url) => {
    await (await fetch(url)).text()
    await new Promise((resolve) => setTimeout(resolve, 100))
  }, `/api/v1${path}`)
}

export function journey(world: () => World): void {
  async function socketsPerNode(): Promise<number[]> {
    const { nodes } = await new Visitor(world().stack.url).call<SystemStatus>('GET', '/status')
    return nodes.map((node) => node.sockets)
  }

  describe('two people on two nodes', () => {
    it('meet over a job while both nodes are replaced under them, and nothing fails', async () => {
      // From the disk, as a visitor's: what a test sends by itself travels to the browser as text.
      const folder = await mkdtemp(join(tmpdir(), 'harbour-'))
      onTestFinished(() => rm(folder, { recursive: true, force: true }))
      const resume = join(folder, 'Alice Moss.pdf')
      await writeFile(resume, pdf(18 * 2 ** 20))
      const [employer, seeker] = await Promise.all([world().person(), world().person()])
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
      await seeker.page.locator('input[type=file]').setInputFiles(resume)
      await seeker.page.getByText('Arrived', { exact: true }).waitFor({ timeout: 60_000 })
      await seeker.page.getByLabel('A few words to the employer').fill('I know where they feed.')
      await seeker.page.getByRole('button', { name: 'Send application' }).click()
      await seeker.page.getByText('Your application is on its way').waitFor({ timeout: 30_000 })
      expect(uploads.length).toBeGreaterThan(1)
      expect(new Set(uploads)).toEqual(new Set([world().stack.r2.url]))

      // It arrives on the employer's board by itself.
      await employer.page.getByRole('article', { name: 'Alice Moss' }).waitFor({ timeout: 20_000 })
      await seeker.page.goto('/applications')
      const card = seeker.page.getByRole('article', { name: /Bonefish Guide/ })
      await card.waitFor()

      // Both nodes are replaced while both people go on.
      for (const node of world().stack.nodes) {
        let restarted = false
        const restart = node
          .stop()
          .then(() => node.start())
          .finally(() => {
            restarted = true
          })
        while (!restarted) {
          await Promise.all([ask(employer.page, '/employer/jobs'), ask(seeker.page, '/applications')])
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
}
