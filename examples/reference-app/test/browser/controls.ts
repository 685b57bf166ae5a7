import type { Page } from 'playwright-core'
import { describe, expect, it } from 'vitest'
import { pdf } from '../support/visitor.ts'
import { signInAsEmployer, signUp, type World } from '../support/world.ts'

const results = (page: Page) => page.getByRole('region', { name: 'Results' })
/** How many jobs the page says there are. */
const counted = async (page: Page) =>
  Number.parseInt((await results(page).getByRole('status').innerText()).replace(',', ''), 10)
const toastSaying = (page: Page, text: string | RegExp) => page.getByText(text).first()

export function controls(world: () => World): void {
  describe('the list of jobs', () => {
    it('narrows with every filter, says which are on, and widens again', async () => {
      const { page, context, wrong } = await world().person()
      await page.goto('/')
      await results(page).waitFor()
      const all = await counted(page)

      await page.getByLabel('Abaco', { exact: true }).check()
      await expect.poll(() => counted(page)).toBeLessThan(all)
      const onAbaco = await counted(page)
      await page.getByLabel('Can be done remotely').check()
      await page.getByLabel('Pay a year').selectOption({ index: 1 })
      await expect.poll(() => counted(page)).toBeLessThan(onAbaco)
      const chips = page.getByRole('list', { name: 'Active filters' }).getByRole('button')
      expect(await chips.allInnerTexts()).toEqual(['Abaco', 'Remote', expect.stringMatching(/^From B\$/)])

      await page.getByRole('button', { name: 'Remove filter Remote' }).click()
      await expect.poll(() => chips.count()).toBe(2)
      await page.goBack()
      await expect.poll(() => chips.count()).toBe(3)
      await page.reload()
      await expect.poll(() => chips.count()).toBe(3)
      await page.getByRole('button', { name: 'Clear all' }).click()
      await expect.poll(() => counted(page)).toBe(all)
      expect(wrong).toEqual([])
      await context.close()
    })

    it('is walked with the keyboard, grows on demand, and helps when nothing matches', async () => {
      const { page, context, wrong } = await world().person()
      await page.goto('/')
      await results(page).waitFor()
      const rows = results(page).getByRole('article')
      const shown = await rows.count()
      await page.getByRole('button', { name: 'Show more jobs' }).click()
      await expect.poll(() => rows.count()).toBeGreaterThan(shown)

      const search = page.getByRole('searchbox')
      await page.locator('body').press('/')
      await expect.poll(() => search.evaluate((input) => input === document.activeElement)).toBe(true)
      await page.keyboard.press('ArrowDown')
      await page.keyboard.press('ArrowDown')
      const second = await rows.nth(1).getByRole('link').getAttribute('href')
      expect(await page.evaluate(() => document.activeElement?.getAttribute('href'))).toBe(second)
      await page.keyboard.press('Enter')
      await page.waitForURL(`**${second}`)
      await page.goBack()

      await search.fill('zzzz')
      await page.getByText('No job matches all of this').waitFor()
      await page.getByRole('button', { name: 'Clear search and filters' }).click()
      await expect.poll(() => search.inputValue()).toBe('')
      await results(page).getByRole('article').first().waitFor()
      await search.fill('nurse')
      await page.waitForURL('**/?q=nurse')
      await page.getByRole('button', { name: 'Clear the search' }).click()
      await page.waitForURL((url) => url.search === '')
      expect(wrong).toEqual([])
      await context.close()
    })

    it('has its filters in a sheet on a phone', async () => {
      const { page, context, wrong } = await world().person()
      await page.setViewportSize({ width: 360, height: 760 })
      await page.goto('/')
      await results(page).waitFor()
      const all = await counted(page)
      await page.getByRole('button', { name: 'Filters' }).click()
      const sheet = page.getByRole('dialog', { name: 'Filters' })
      await sheet.getByLabel('Exuma', { exact: true }).check()
      await expect
        .poll(() => sheet.getByRole('button', { name: /^Show / }).innerText())
        .not.toContain(` ${all} `)
      await sheet.getByRole('button', { name: /^Show \d+ jobs?$/ }).click()
      await sheet.waitFor({ state: 'detached' })
      expect(await counted(page)).toBeLessThan(all)
      await page.getByRole('button', { name: 'Filters (1)' }).click()
      await sheet.getByRole('button', { name: 'Clear' }).click()
      await sheet.getByRole('button', { name: 'Close' }).click()
      await expect.poll(() => counted(page)).toBe(all)
      expect(wrong).toEqual([])
      await context.close()
    })
  })

  describe('a résumé', () => {
    it('is refused with a reason, pauses, goes on, and can be taken back before it is sent', async () => {
      const { page, context, wrong } = await world().person()
      await signUp(page, 'seeker', 'Perry Gaitor')
      await results(page).getByRole('article').first().getByRole('link').click()
      await page.getByRole('link', { name: 'Apply', exact: true }).first().click()
      const file = page.locator('input[type=file]')
      const send = page.getByRole('button', { name: 'Send application' })

      await send.click()
      await page.getByText('Add your résumé first.').waitFor()
      await file.setInputFiles({ name: 'cv.pdf', mimeType: 'application/pdf', buffer: Buffer.from('no PDF') })
      await page.getByText('cv.pdf is called a PDF but is none. Save it as PDF again.').waitFor()
      await file.setInputFiles({ name: 'cv.png', mimeType: 'image/png', buffer: Buffer.from('PNG') })
      await page
        .getByRole('alert')
        .filter({ hasText: /^cv\.png: / })
        .waitFor()

      // A slow line, so that there is something to pause.
      const network = await context.newCDPSession(page)
      const line = (uploadThroughput: number) =>
        network.send('Network.emulateNetworkConditions', {
          offline: false,
          latency: 0,
          downloadThroughput: -1,
          uploadThroughput,
        })
      await line(200_000)
      await file.setInputFiles({ name: 'cv.pdf', mimeType: 'application/pdf', buffer: pdf(2 ** 20) })
      await page.getByRole('button', { name: 'Pause the upload' }).click()
      await page.getByText('Paused').waitFor()
      await send.click()
      await page.getByText('Wait until your résumé has arrived.').waitFor()
      await line(-1)
      await page.getByRole('button', { name: 'Resume the upload' }).click()
      await page.getByText('Arrived', { exact: true }).waitFor()
      await page.getByText('Wait until your résumé has arrived.').waitFor({ state: 'hidden' })
      await page.getByRole('button', { name: 'Remove the file' }).click()
      await page.getByText('Drop your PDF here').waitFor()

      await page.getByLabel('A few words to the employer').fill('Kept through a reload.')
      await page.reload()
      expect(await page.getByLabel('A few words to the employer').inputValue()).toBe('Kept through a reload.')
      await file.setInputFiles({ name: 'cv.pdf', mimeType: 'application/pdf', buffer: pdf(2_000) })
      await page.getByText('Arrived', { exact: true }).waitFor()
      await send.click()
      await page.getByText('Your application is on its way').waitFor()
      await page.getByRole('link', { name: 'Follow it live' }).click()
      const download = page.waitForEvent('download')
      await page.getByRole('button', { name: 'cv.pdf' }).click()
      expect((await download).suggestedFilename()).toBe('cv.pdf')
      expect(wrong).toEqual([])
      await context.close()
    })
  })

  describe('an employer', () => {
    it('is told what a job lacks, keeps the draft, posts it, closes it and opens it again', async () => {
      const { page, context, wrong } = await world().person()
      await signUp(page, 'employer', 'Inez Culmer')
      await page.getByRole('link', { name: 'Post the first one' }).click()
      await page.getByRole('button', { name: 'Post the job' }).click()
      await page.getByText('Say what the job is.').waitFor()
      expect(await page.evaluate(() => document.activeElement?.getAttribute('maxlength'))).toBe('100')
      await page.getByLabel('Title').fill('Net Mender')
      await page.reload()
      expect(await page.getByLabel('Title').inputValue()).toBe('Net Mender')
      await page.getByRole('button', { name: 'Start over' }).click()
      expect(await page.getByLabel('Title').inputValue()).toBe('')
      await page.getByLabel('Title').fill('Sail Maker')
      await page.getByLabel('Town or settlement').fill('Man-O-War Cay')
      await page.getByLabel('Pay from').fill('30,000')
      await page.getByLabel('Pay to').fill('35,000')
      await page
        .getByLabel('Description')
        .fill('Cut and sew canvas in a loft that has done it for a hundred years.')
      await page.getByRole('button', { name: 'Post the job' }).click()
      await toastSaying(page, 'Sail Maker is online.').waitFor()

      await page.getByRole('link', { name: 'My jobs' }).first().click()
      await page.getByRole('button', { name: 'Close Sail Maker' }).click()
      await page.getByRole('alertdialog').getByRole('button', { name: 'Keep it' }).click()
      await page.getByRole('alertdialog').waitFor({ state: 'detached' })
      await page.getByRole('button', { name: 'Close Sail Maker' }).click()
      await page.getByRole('alertdialog').getByRole('button', { name: 'Close the job' }).click()
      await toastSaying(page, 'Sail Maker is closed.').waitFor()
      await page.getByRole('button', { name: 'Open again: Sail Maker' }).click()
      await toastSaying(page, 'Sail Maker is open again.').waitFor()
      expect(wrong).toEqual([])
      await context.close()
    })

    it('moves an applicant by dragging and reads the résumé', async () => {
      const { page, context, wrong } = await world().person()
      await signInAsEmployer(page)
      await page.getByRole('article').filter({ hasText: 'new' }).first().getByRole('link').click()
      const column = (name: string) => page.getByRole('region', { name: new RegExp(`^${name}, `) })
      const card = column('New').getByRole('article').first()
      const name = (await card.getAttribute('aria-label')) ?? ''
      await card.dragTo(column('Offer'), {
        sourcePosition: { x: 8, y: 8 },
        targetPosition: { x: 40, y: 40 },
      })
      await column('Offer').getByRole('article', { name }).waitFor()
      await page.reload()
      const moved = column('Offer').getByRole('article', { name })
      await moved.waitFor()
      const download = page.waitForEvent('download')
      await moved.getByRole('button').click()
      expect((await download).suggestedFilename()).toMatch(/\.pdf$/)
      expect(wrong).toEqual([])
      await context.close()
    })
  })

  describe('an account', () => {
    it('signs another browser out at once, then itself, and keeps its colours', async () => {
      const [here, elsewhere] = await Promise.all([world().person(), world().person()])
      await signInAsEmployer(here.page)
      await signInAsEmployer(elsewhere.page)

      await here.page.getByRole('button', { name: /^Colours: system/ }).click()
      await here.page.reload()
      await here.page.getByRole('button', { name: /^Colours: light/ }).waitFor()

      await here.page.getByRole('button', { name: /^Account of / }).click()
      await here.page.getByRole('menuitem', { name: 'Account and sessions' }).click()
      await here.page.getByText('This browser').waitFor()
      await here.page
        .getByRole('button', { name: /^Sign out / })
        .first()
        .click()
      await toastSaying(here.page, / is signed out\.$/).waitFor()
      await elsewhere.page.getByText('Your session has ended. Please sign in again.').waitFor()
      await elsewhere.page.waitForURL('**/sign-in**')

      await here.page.getByRole('main').getByRole('button', { name: 'Sign out', exact: true }).click()
      await here.page.getByRole('link', { name: 'Sign in' }).waitFor()
      await here.page.goto('/employer')
      await here.page.waitForURL('**/sign-in**')
      expect([...here.wrong, ...elsewhere.wrong].filter((what) => !what.includes('401'))).toEqual([])
      await Promise.all([here.context.close(), elsewhere.context.close()])
    })
  })
}
