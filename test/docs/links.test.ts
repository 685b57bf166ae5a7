import { existsSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { describe, expect, it } from 'vitest'
import { root } from '../workspace.ts'
import { anchors, markdownFiles, prose } from './markdown.ts'

const LINK = /\]\(<?([^)\s>]+)>?(?:\s+"[^"]*")?\)/g

describe('relative links', () => {
  it.each(markdownFiles)('of %s lead somewhere', (file) => {
    const broken = [...prose(file).matchAll(LINK)]
      .flatMap(([, target]) => target ?? [])
      .filter((target) => !/^(?:[a-z]+:|\/\/)/.test(target))
      .filter((target) => !leadsSomewhere(file, target))
    expect(broken).toEqual([])
  })
})

function leadsSomewhere(file: string, target: string): boolean {
  const [path = '', anchor] = target.split('#')
  const resolved = path ? normalize(join(dirname(file), decodeURI(path))) : file
  if (resolved.startsWith('..') || !existsSync(join(root, resolved))) return false
  return !anchor || !resolved.endsWith('.md') || anchors(resolved).has(anchor)
}
