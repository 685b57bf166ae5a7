import { dirname, join } from 'node:path'
import ts from 'typescript'
import { beforeAll, describe, expect, it } from 'vitest'
import { root } from '../workspace.ts'
import { type CodeBlock, codeBlocks, markdownFiles } from './markdown.ts'

const ALLOWED = ['ts', 'ts run', 'tsx']
const blocks = markdownFiles
  .flatMap(codeBlocks)
  .filter(({ info }) => /^(?:ts|tsx|typescript|js|jsx|javascript)\b/.test(info))

describe('the code in READMEs and guides', () => {
  const faults = new Map<CodeBlock, readonly string[]>()

  beforeAll(() => {
    for (const [block, found] of compile(blocks.filter(({ info }) => ALLOWED.includes(info))))
      faults.set(block, found)
  }, 120_000)

  it('is TypeScript that compiles, fenced as ts, ts run or tsx', () => {
    const others = blocks.filter(({ info }) => !ALLOWED.includes(info))
    expect(others.map(({ file, line, info }) => `${file}:${line} ${info}`)).toEqual([])
  })

  it.each(markdownFiles.filter((file) => blocks.some((block) => block.file === file)))(
    'of %s compiles, each block as a module of its own',
    (file) => {
      expect(
        blocks.filter((block) => block.file === file).flatMap((block) => faults.get(block) ?? []),
      ).toEqual([])
    },
  )
})

/** Compiles the blocks against the sources, as files that lie beside their Markdown file. */
function compile(all: readonly CodeBlock[]): ReadonlyMap<CodeBlock, readonly string[]> {
  const virtual = new Map(
    all.map((block) => {
      const ending = block.info === 'tsx' ? 'tsx' : 'ts'
      return [join(root, dirname(block.file), `block-${block.file.length}-${block.line}.${ending}`), block]
    }),
  )
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile)
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root)
  const settings = { ...options, moduleDetection: ts.ModuleDetectionKind.Force, noEmit: true }
  const host = ts.createCompilerHost(settings)
  const { fileExists, readFile } = host
  // Blank lines in front make TypeScript count as the Markdown file does.
  const textOf = (block: CodeBlock) => '\n'.repeat(block.line) + block.code
  host.fileExists = (file) => virtual.has(file) || fileExists(file)
  host.readFile = (file) => {
    const block = virtual.get(file)
    return block ? textOf(block) : readFile(file)
  }
  host.getSourceFile = (file, target) => {
    const text = host.readFile(file)
    return text === undefined ? undefined : ts.createSourceFile(file, text, target)
  }
  const program = ts.createProgram([...virtual.keys()], settings, host)
  return new Map(
    [...virtual].map(([path, block]) => {
      const source = program.getSourceFile(path)
      const diagnostics = source
        ? [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)]
        : []
      return [block, diagnostics.map((one) => describeFault(block, one))]
    }),
  )
}

function describeFault(block: CodeBlock, { file, start, messageText }: ts.Diagnostic): string {
  const line = file && start !== undefined ? file.getLineAndCharacterOfPosition(start).line + 1 : block.line
  return `${block.file}:${line} ${ts.flattenDiagnosticMessageText(messageText, '\n')}`
}
