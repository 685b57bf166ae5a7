import { join } from 'node:path'
import ts from 'typescript'
import { beforeAll, describe, expect, it } from 'vitest'
import { packages, root } from '../workspace.ts'

const files = packages.flatMap(({ folder, entries }) =>
  entries.map(({ source }) => join(root, folder, source)),
)
const OPENS = /^(?:create|start)[A-Z]/

interface Opened {
  readonly function: string
  readonly close: boolean
  readonly asyncDispose: boolean
}

describe('everything that createX or startX answers', () => {
  let opened: readonly Opened[] = []

  beforeAll(() => {
    const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile)
    const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root)
    const program = ts.createProgram(files, options)
    const checker = program.getTypeChecker()
    opened = files.flatMap((file) => openersOf(program, checker, file))
  }, 60_000)

  it('can be closed and disposed of', () => {
    expect(opened.filter(({ close, asyncDispose }) => !(close && asyncDispose))).toEqual([])
  })
})

/** What the exported openers of a file return, as their types say it. */
function openersOf(program: ts.Program, checker: ts.TypeChecker, file: string): readonly Opened[] {
  const source = program.getSourceFile(file)
  const module = source && checker.getSymbolAtLocation(source)
  if (!source || !module) return []
  return checker
    .getExportsOfModule(module)
    .filter(({ name }) => OPENS.test(name))
    .flatMap((symbol) => {
      const type = checker.getTypeOfSymbolAtLocation(symbol, source)
      return type.getCallSignatures().map((signature) => {
        const returned = checker.getReturnTypeOfSignature(signature)
        const result = checker.getAwaitedType(returned) ?? returned
        const names = checker.getPropertiesOfType(result).map(({ name }) => name)
        return {
          function: `${file.slice(root.length + 1)} ${symbol.name}`,
          close: names.includes('close'),
          // TypeScript names the property of a well-known symbol `__@asyncDispose@<id>`.
          asyncDispose: names.some((name) => name.startsWith('__@asyncDispose')),
        }
      })
    })
}
