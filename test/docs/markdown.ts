import { read, repositoryFiles } from '../workspace.ts'

export interface CodeBlock {
  /** The Markdown file, relative to the root. */
  readonly file: string
  /** Line of the opening fence, from 1. */
  readonly line: number
  /** What follows the fence: `ts`, `ts run`, `sh`. */
  readonly info: string
  readonly code: string
}

/** Every Markdown file of the repository that a person writes, relative to the root. */
export const markdownFiles: readonly string[] = repositoryFiles().filter(
  (file) => file.endsWith('.md') && !file.startsWith('.changeset/') && !file.endsWith('CHANGELOG.md'),
)

/** The fenced blocks of a file. */
export function codeBlocks(file: string): readonly CodeBlock[] {
  const blocks: CodeBlock[] = []
  let open: { line: number; info: string; fence: string; lines: string[] } | undefined
  for (const [index, text] of read(file).split('\n').entries()) {
    const [, fence, info = ''] = /^\s*(`{3,})(.*)$/.exec(text) ?? []
    if (open && fence === open.fence && !info) {
      blocks.push({ file, line: open.line, info: open.info, code: open.lines.join('\n') })
      open = undefined
    } else if (open) open.lines.push(text)
    else if (fence) open = { line: index + 1, info: info.trim(), fence, lines: [] }
  }
  if (open) throw new Error(`${file}: the block of line ${open.line} never ends`)
  return blocks
}

/** The text of a file without its fenced blocks and inline code. */
export function prose(file: string): string {
  return read(file)
    .replace(/^\s*(`{3,})[\s\S]*?^\s*\1\s*$/gm, '')
    .replace(/`[^`\n]*`/g, '``')
}

/** The anchors of a file's headings as GitHub makes them, and those set by hand. */
export function anchors(file: string): ReadonlySet<string> {
  const text = read(file)
  const found = new Set<string>()
  for (const [, heading = ''] of text
    .replace(/^\s*(`{3,})[\s\S]*?^\s*\1\s*$/gm, '')
    .matchAll(/^#{1,6} (.+)$/gm)) {
    const slug = heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-')
    let anchor = slug
    for (let i = 1; found.has(anchor); i++) anchor = `${slug}-${i}`
    found.add(anchor)
  }
  for (const [, id] of text.matchAll(/\bid="([^"]+)"/g)) if (id) found.add(id)
  return found
}
