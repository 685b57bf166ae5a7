/**
 * The words of a statement, enough of them to classify it and no more:
 * unquoted words in lower case, quoted identifiers as `"Name` in their own, every literal, number and parameter as `'`,
 * the punctuation `( ) [ ] ; , . ::` as it is, every other operator character as `~`.
 *
 * `undefined` means the text cannot be read with certainty (an unterminated string, a backslash before a
 * quote whose meaning depends on a server setting, an escaped identifier): whoever asks must then assume the
 * worst. One pass, no backtracking: time is linear in the length.
 */
export function lex(sql: string): string[] | undefined {
  const words: string[] = []
  const end = sql.length
  let at = 0
  while (at < end) {
    const code = sql.charCodeAt(at)
    if (isSpace(code)) {
      at++
    } else if (isWordStart(code)) {
      const start = at
      let ascii = code < 128
      let upper = code <= 90
      let next = 0
      while (++at < end) {
        next = sql.charCodeAt(at)
        if (next >= 97 && next <= 122) continue
        if (!isWordPart(next)) break
        if (next >= 128) ascii = false
        else if (next <= 90) upper = true
      }
      if (at < end && at - start === 1 && (next === QUOTE || next === AMPERSAND)) {
        const prefix = code | 32
        if (next === QUOTE && prefix === 101) {
          at = endOfEscapeString(sql, at)
          if (at < 0) return undefined
          words.push("'")
          continue
        }
        if (next === AMPERSAND && prefix === 117) {
          const quote = sql.charCodeAt(at + 1)
          if (quote === QUOTE || quote === DOUBLE_QUOTE) return undefined
        }
      }
      const word = sql.slice(start, at)
      words.push(ascii && upper ? word.toLowerCase() : word)
    } else if (code === QUOTE) {
      at = endOfString(sql, at)
      if (at < 0) return undefined
      words.push("'")
    } else if (code === DOUBLE_QUOTE) {
      const start = at
      at = endOfQuoted(sql, at)
      if (at < 0) return undefined
      words.push(sql.slice(start, at - 1))
    } else if (code === DOLLAR) {
      const next = sql.charCodeAt(at + 1)
      if (isDigit(next)) {
        at++
        while (at < end && isDigit(sql.charCodeAt(at))) at++
        words.push("'")
        if (at < end && isWordStart(sql.charCodeAt(at))) return undefined
      } else {
        at = endOfDollarString(sql, at)
        if (at < 0) return undefined
        words.push("'")
      }
    } else if (isDigit(code) || (code === DOT && isDigit(sql.charCodeAt(at + 1)))) {
      at = endOfNumber(sql, at)
      if (at < 0) return undefined
      words.push("'")
    } else if (code === DASH && sql.charCodeAt(at + 1) === DASH) {
      while (at < end && !isNewline(sql.charCodeAt(at))) at++
    } else if (code === SLASH && sql.charCodeAt(at + 1) === STAR) {
      at = endOfComment(sql, at)
      if (at < 0) return undefined
    } else if (code === COLON && sql.charCodeAt(at + 1) === COLON) {
      words.push('::')
      at += 2
    } else {
      words.push(code < 128 ? (PUNCTUATION[code] as string) : '~')
      at++
    }
  }
  return words
}

const PUNCTUATION: readonly string[] = Array.from({ length: 128 }, (_, code) => {
  const mark = String.fromCharCode(code)
  return '()[];,.'.includes(mark) ? mark : '~'
})
const QUOTE = 39
const DOUBLE_QUOTE = 34
const BACKSLASH = 92
const DOLLAR = 36
const AMPERSAND = 38
const DOT = 46
const DASH = 45
const SLASH = 47
const STAR = 42
const COLON = 58

function isSpace(code: number): boolean {
  return code === 32 || (code >= 9 && code <= 13)
}

function isNewline(code: number): boolean {
  return code === 10 || code === 13
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57
}

function isWordStart(code: number): boolean {
  return (code >= 97 && code <= 122) || (code >= 65 && code <= 90) || code === 95 || code >= 128
}

function isWordPart(code: number): boolean {
  return isWordStart(code) || isDigit(code) || code === DOLLAR
}

// Whether a backslash escapes depends on standard_conforming_strings, so one before a quote is uncertain.
function endOfString(sql: string, start: number): number {
  let at = start
  for (;;) {
    const quote = sql.indexOf("'", at + 1)
    if (quote < 0 || sql.charCodeAt(quote - 1) === BACKSLASH) return -1
    if (sql.charCodeAt(quote + 1) !== QUOTE) return quote + 1
    at = quote + 1
  }
}

function endOfEscapeString(sql: string, start: number): number {
  for (let at = start + 1; at < sql.length; at++) {
    const code = sql.charCodeAt(at)
    if (code === BACKSLASH) at++
    else if (code === QUOTE) {
      if (sql.charCodeAt(at + 1) !== QUOTE) return at + 1
      at++
    }
  }
  return -1
}

function endOfQuoted(sql: string, start: number): number {
  let at = start
  for (;;) {
    const quote = sql.indexOf('"', at + 1)
    if (quote < 0) return -1
    if (sql.charCodeAt(quote + 1) !== DOUBLE_QUOTE) return quote + 1
    at = quote + 1
  }
}

function endOfDollarString(sql: string, start: number): number {
  let at = start + 1
  if (isWordStart(sql.charCodeAt(at))) {
    while (at < sql.length && isWordPart(sql.charCodeAt(at)) && sql.charCodeAt(at) !== DOLLAR) at++
  }
  if (sql.charCodeAt(at) !== DOLLAR) return -1
  const tag = sql.slice(start, at + 1)
  const close = sql.indexOf(tag, at + 1)
  return close < 0 ? -1 : close + tag.length
}

// Letters that touch a number were a word of their own before Postgres 15, so anything odd is uncertain.
const NUMBER = /(?:0[xob][\da-f_]+|(?:\d[\d_]*)?\.?\d*(?:e[+-]?\d+)?)(?![\w\x80-\uffff])/iy

function endOfNumber(sql: string, start: number): number {
  let at = start
  while (isDigit(sql.charCodeAt(at))) at++
  const code = sql.charCodeAt(at)
  if (at > start && code !== DOT && !isWordPart(code)) return at
  NUMBER.lastIndex = start
  return NUMBER.test(sql) && NUMBER.lastIndex > start ? NUMBER.lastIndex : -1
}

function endOfComment(sql: string, start: number): number {
  let depth = 0
  for (let at = start; at < sql.length - 1; at++) {
    const code = sql.charCodeAt(at)
    const next = sql.charCodeAt(at + 1)
    if (code === SLASH && next === STAR) {
      depth++
      at++
    } else if (code === STAR && next === SLASH) {
      depth--
      at++
      if (depth === 0) return at + 1
    }
  }
  return -1
}
