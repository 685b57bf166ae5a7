import { S3Error } from './r2-s3-error.ts'

/** An element of a request body: its name, its text, and its children in order. */
export interface XmlElement {
  readonly name: string
  readonly text: string
  readonly children: readonly XmlElement[]
}

const ENTITIES: ReadonlyMap<string, string> = new Map([
  ['amp', '&'],
  ['lt', '<'],
  ['gt', '>'],
  ['quot', '"'],
  ['apos', "'"],
])
const MAX_DEPTH = 8

/**
 * Reads the small XML bodies of the S3 protocol in one pass. It knows elements, attributes (skipped), text, the five
 * named and the numeric references, and nothing else: a document type, a processing instruction after the
 * declaration, CDATA or a comment is refused, so there is no entity to expand and nothing to fetch.
 */
export function parseXml(source: string): XmlElement {
  const tokens = /<([^<>]*)>|([^<]+)/y
  const open: { name: string; text: string; children: XmlElement[] }[] = [
    { name: '', text: '', children: [] },
  ]
  const body = source.replace(/^\uFEFF?\s*<\?xml[^<>]*\?>/, '')
  let top = open[0]
  while (tokens.lastIndex < body.length) {
    const [, tag, text] = tokens.exec(body) ?? malformed()
    if (top === undefined) return malformed()
    if (tag === undefined) {
      top.text += decodeText(text ?? '')
      continue
    }
    const [, slash, name, selfClosing] =
      /^(\/?)([A-Za-z_][\w.:-]{0,63})(?:\s[^<>]*?)?(\/?)$/.exec(tag) ?? malformed()
    if (name === undefined) return malformed()
    if (slash === '/') {
      const parent = open[open.length - 2]
      if (parent === undefined || top.name !== name) return malformed()
      open.pop()
      parent.children.push(top)
      top = parent
    } else if (selfClosing === '/') {
      top.children.push({ name, text: '', children: [] })
    } else {
      if (open.length > MAX_DEPTH) return malformed()
      top = { name, text: '', children: [] }
      open.push(top)
    }
  }
  const root = open[0]?.children[0]
  if (open.length !== 1 || root === undefined || open[0]?.children.length !== 1 || open[0].text.trim() !== '')
    return malformed()
  return root
}

/** All children of that name. */
export function childrenOf(parent: XmlElement, name: string): readonly XmlElement[] {
  return parent.children.filter((child) => child.name === name)
}

/** Text of the first child of that name, or undefined. */
export function childText(parent: XmlElement, name: string): string | undefined {
  return parent.children.find((child) => child.name === name)?.text
}

function decodeText(text: string): string {
  let decoded = ''
  let from = 0
  for (let at = text.indexOf('&'); at !== -1; at = text.indexOf('&', from)) {
    const end = text.indexOf(';', at)
    if (end === -1 || end - at > 12) return malformed()
    decoded += text.slice(from, at) + decodeReference(text.slice(at + 1, end))
    from = end + 1
  }
  return decoded + text.slice(from)
}

function decodeReference(name: string): string {
  const named = ENTITIES.get(name)
  if (named !== undefined) return named
  const digits = /^#(?:x([0-9a-fA-F]{1,6})|([0-9]{1,7}))$/.exec(name) ?? malformed()
  const code = digits[1] === undefined ? Number(digits[2]) : Number.parseInt(digits[1], 16)
  if (code === 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return malformed()
  return String.fromCodePoint(code)
}

function malformed(): never {
  throw new S3Error('MalformedXML')
}
