import { describe, expect, it } from 'vitest'
import type { World } from '../support/world.ts'

export function builtPages(world: () => World): void {
  describe('the built pages', () => {
    /** As a browser asks: what travels, and what of it may be kept. */
    const get = async (path: string, headers: Record<string, string>) => {
      const answer = await fetch(`${world().stack.url}${path}`, { headers })
      await answer.arrayBuffer()
      return { status: answer.status, header: (name: string) => answer.headers.get(name) }
    }

    it('travel compressed, are kept for a year under their hashed names, and asked for again under others', async () => {
      const html = await (await fetch(world().stack.url)).text()
      const scripts = [...html.matchAll(/(?:src|href)="(\/assets\/[^"]+\.js)"/g)].map(
        ([, path]) => path ?? '',
      )
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
}
