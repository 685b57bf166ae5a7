import { existsSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import ts from 'typescript'
import { filesUnder, read, root } from './workspace.ts'

export interface Import {
  readonly specifier: string
  /** Gone after compilation: `import type` or `export type`. */
  readonly typeOnly: boolean
  /** `export … from` */
  readonly reExport: boolean
  /** `export * from` */
  readonly everything: boolean
}

/** The source files of a package, relative to the root. */
export function sourcesOf(folder: string): readonly string[] {
  return [...filesUnder(`${folder}/src`, '.ts'), ...filesUnder(`${folder}/src`, '.tsx')]
}

const parsed = new Map<string, readonly Import[]>()

/** Everything a file imports or re-exports, `import()` with a literal included. */
export function importsOf(file: string): readonly Import[] {
  const known = parsed.get(file) ?? parseImports(file)
  parsed.set(file, known)
  return known
}

function parseImports(file: string): readonly Import[] {
  const tree = ts.createSourceFile(file, read(file), ts.ScriptTarget.Latest, false)
  const found: Import[] = []
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier)) {
      const typeOnly = node.importClause?.isTypeOnly ?? false
      found.push({ specifier: node.moduleSpecifier.text, typeOnly, reExport: false, everything: false })
    } else if (
      ts.isExportDeclaration(node) &&
      node.moduleSpecifier &&
      ts.isStringLiteral(node.moduleSpecifier)
    ) {
      found.push({
        specifier: node.moduleSpecifier.text,
        typeOnly: node.isTypeOnly,
        reExport: true,
        everything: !node.exportClause || ts.isNamespaceExport(node.exportClause),
      })
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      const [argument] = node.arguments
      if (argument && ts.isStringLiteral(argument)) {
        found.push({ specifier: argument.text, typeOnly: false, reExport: false, everything: false })
      }
    }
    ts.forEachChild(node, visit)
  }
  visit(tree)
  return found
}

/** The file that a relative specifier means, relative to the root. */
export function resolveRelative(from: string, specifier: string): string {
  return normalize(join(dirname(from), specifier))
}

/** All files of the package that are loaded at run time with this one, itself included. */
export function loadedWith(file: string, seen: Set<string> = new Set()): ReadonlySet<string> {
  if (seen.has(file) || !existsSync(join(root, file))) return seen
  seen.add(file)
  for (const { specifier, typeOnly } of importsOf(file)) {
    if (!typeOnly && specifier.startsWith('.')) loadedWith(resolveRelative(file, specifier), seen)
  }
  return seen
}
