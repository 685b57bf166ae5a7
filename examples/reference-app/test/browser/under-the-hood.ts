import { describe, it } from 'vitest'
import type { World } from '../support/world.ts'

export function underTheHood(world: () => World): void {
  describe('under the hood', () => {
    it('breaks whatever its buttons say, shows what it means, and heals', async () => {
      const { page, context } = await world().person()
      /** Waits for a message and takes it away, so that the next one is a new one. */
      const said = async (text: RegExp) => {
        const message = page
          .getByRole('region', { name: 'Messages' })
          .locator('div', { hasText: text })
          .first()
        await message.getByText(text).waitFor({ timeout: 30_000 })
        await message.getByRole('button', { name: 'Dismiss message' }).click()
        await message.waitFor({ state: 'detached' })
      }
      await page.goto('/status')
      const means = page.getByRole('region', { name: 'What it means' })
      await means.getByText('Now: everything works.').waitFor()
      const breaks: readonly (readonly [button: string, effect: RegExp])[] = [
        ['Kill a replica', /^db-2 does not answer: everything works/],
        ['Freeze a replica', /^db-2 and db-3 do not answer: everything works/],
        ['Stop Redis', /^Redis is away: you can search/],
      ]
      for (const [name, effect] of breaks) {
        await page.getByRole('button', { name }).click()
        await means.getByText(effect).waitFor({ timeout: 30_000 })
        await page.getByRole('button', { name: 'Send 60 reads' }).click()
        await said(/^60 answered, 0 failed\.$/)
      }
      await page.getByRole('button', { name: 'Heal everything' }).click()
      await means.getByText('Now: everything works.').waitFor({ timeout: 30_000 })

      await page.getByRole('button', { name: 'Add three seconds of lag' }).click()
      await means.getByText(/ late: you see your own changes at once/).waitFor({ timeout: 30_000 })
      await page.getByRole('button', { name: 'Heal everything' }).click()
      await page.getByRole('button', { name: 'Restart a node' }).click()
      await means.getByText(/node-\d is back and takes requests\./).waitFor({ timeout: 60_000 })
      await means.getByText('Now: everything works.').waitFor({ timeout: 30_000 })
      await page.getByRole('button', { name: 'Flood it' }).click()
      await said(/^\d+ answered, \d+ held back by the limit, 0 failed\.$/)
      await context.close()
    }, 240_000)
  })
}
