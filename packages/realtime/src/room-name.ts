const PARAMETER = /\{([A-Za-z_]\w*)\}/g

/** The names of the parameters in a pattern, in order. */
export function parameterNames(pattern: string): readonly string[] {
  return [...pattern.matchAll(PARAMETER)].map((match) => match[1] ?? '')
}

/**
 * The name of one room: the pattern with its parameters put in, percent-encoded so that no value can reach
 * into the next segment. `undefined` when a parameter is missing, empty or neither a string nor a finite number.
 */
export function formatRoom(
  pattern: string,
  params: Readonly<Record<string, unknown>> = {},
): string | undefined {
  let complete = true
  const name = pattern.replace(PARAMETER, (_, parameter: string) => {
    const value = Object.hasOwn(params, parameter) ? params[parameter] : undefined
    if (Number.isFinite(value) || (typeof value === 'string' && value !== '')) {
      try {
        return encodeURIComponent(value as string | number)
      } catch {
        // A lone surrogate cannot be encoded.
      }
    }
    complete = false
    return ''
  })
  return complete ? name : undefined
}

/** Finds the pattern a room's name was made from. */
export interface RoomMatcher {
  match(
    room: string,
  ): { readonly pattern: string; readonly params: Readonly<Record<string, string>> } | undefined
}

/** Patterns without parameters win over those with; among those, the first declared. */
export function roomMatcher(patterns: readonly string[]): RoomMatcher {
  const fixed = new Set(patterns.filter((pattern) => parameterNames(pattern).length === 0))
  const compiled = patterns
    .filter((pattern) => !fixed.has(pattern))
    .map((pattern) => ({ pattern, names: parameterNames(pattern), expression: expressionOf(pattern) }))
  return {
    match(room) {
      if (fixed.has(room)) return { pattern: room, params: {} }
      for (const { pattern, names, expression } of compiled) {
        const values = expression.exec(room)?.slice(1)
        if (!values) continue
        try {
          const params = Object.fromEntries(
            names.map((name, index) => [name, decodeURIComponent(values[index] ?? '')]),
          )
          // One room, one name: another spelling of the same parameters would be another room.
          if (formatRoom(pattern, params) === room) return { pattern, params }
        } catch {
          // Not our encoding, so not this pattern's room.
        }
      }
      return undefined
    },
  }
}

// What encodeURIComponent leaves: the class excludes every separator a pattern is likely to use, so that
// matching stays linear.
function expressionOf(pattern: string): RegExp {
  const source = pattern
    .split(PARAMETER)
    .map((part, index) =>
      index % 2 === 1 ? "([A-Za-z0-9\\-_.!~*'()%]+)" : part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'),
    )
    .join('')
  return new RegExp(`^${source}$`)
}
