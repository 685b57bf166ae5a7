// The grammar of structured field lists (RFC 9651), of which the client needs two parameters. A field that does
// not keep to it counts as absent, as the RFC asks.
const KEY = '[a-z*][a-z0-9_.*-]*'
const BARE_ITEM = [
  '-?[0-9]{1,12}\\.[0-9]{1,3}',
  '-?[0-9]{1,15}',
  '"(?:[ !#-\\[\\]-~]|\\\\["\\\\])*"',
  "[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*",
  ':(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?:',
  '\\?[01]',
  '@-?[0-9]{1,15}',
  '%"(?:[ !#$&-~]|%[0-9a-f]{2})*"',
].join('|')
const PARAMETERS = `(?:; *${KEY}(?:=(?:${BARE_ITEM}))?)*`
const ITEM = `(?:${BARE_ITEM})${PARAMETERS}`
const INNER_LIST = `\\( *(?:${ITEM}(?: +${ITEM})*)? *\\)`

const MEMBER = new RegExp(`(${INNER_LIST}|${BARE_ITEM})(${PARAMETERS})`, 'y')
const SEPARATOR = /[ \t]*,[ \t]*/y
const PARAMETER = new RegExp(`; *(${KEY})(?:=(${BARE_ITEM}))?`, 'g')
const BARE_ITEMS = new RegExp(BARE_ITEM, 'g')
const LONGEST = 4_096

/** What one item of a `RateLimit` field says. */
export interface PublishedLimit {
  readonly remaining: number
  /** Until more come back; 0 when the field does not tell. */
  readonly seconds: number
}

/** The limits of a `RateLimit` field; items that say nothing about what is left are passed over. */
export function readLimits(field: string | null): readonly PublishedLimit[] {
  if (field === null || field.length > LONGEST) return []
  const text = field.replace(/^ +|[ \t]+$/g, '')
  const limits: PublishedLimit[] = []
  for (let at = 0; at < text.length; ) {
    if (at > 0) {
      SEPARATOR.lastIndex = at
      if (!SEPARATOR.test(text)) return []
      at = SEPARATOR.lastIndex
    }
    MEMBER.lastIndex = at
    const [all, item = '', parameters = ''] = MEMBER.exec(text) ?? []
    if (all === undefined || !isUnicode(all)) return []
    at += all.length
    const told = new Map([...parameters.matchAll(PARAMETER)].map(([, key, value]) => [key, value]))
    const remaining = wholeNumber(told.get('r'))
    if (item.startsWith('"') && remaining !== undefined) {
      limits.push({ remaining, seconds: wholeNumber(told.get('t')) ?? 0 })
    }
  }
  return limits
}

function wholeNumber(item: string | undefined): number | undefined {
  const value = item !== undefined && /^[-0-9]/.test(item) ? Number(item) : Number.NaN
  return Number.isInteger(value) && value >= 0 ? Math.abs(value) : undefined
}

/** Whether the display strings in a member, which the grammar takes for any bytes, are UTF-8. */
function isUnicode(member: string): boolean {
  if (!member.includes('%"')) return true
  try {
    for (const [item] of member.matchAll(BARE_ITEMS))
      if (item.startsWith('%')) decodeURIComponent(item.slice(1))
    return true
  } catch {
    return false
  }
}
