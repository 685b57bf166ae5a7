import { fileTypeFromBuffer } from 'file-type'

/** Bytes at the start of an object that are enough to tell the types we can tell. */
export const SNIFF_BYTES = 4_100

/**
 * Whether the first bytes agree with the declared type. Types with a signature must show it; plain text has
 * none, so it must show no other and be UTF-8 without control characters. `alsoFound`: what else it may look like.
 */
export async function agrees(
  start: Uint8Array,
  declared: string,
  alsoFound: (type: string) => boolean = () => false,
): Promise<boolean> {
  const found = await fileTypeFromBuffer(start)
  if (declared.startsWith('text/') || declared === 'application/json')
    return found === undefined && isText(start)
  return (
    found !== undefined &&
    (found.mime === declared || ALIASES[found.mime] === declared || alsoFound(found.mime))
  )
}

/** Whether a file with a signature also begins as a page or a script, for readers that guess. */
export function hidesScript(start: Uint8Array, declared: string): boolean {
  if (declared.startsWith('text/') || declared === 'application/json') return false
  return /<(?:script|html|svg|iframe|!doctype html|\?php)/i.test(Buffer.from(start).toString('latin1'))
}

// What the sniffer calls otherwise than browsers do.
const ALIASES: Readonly<Record<string, string>> = {
  'audio/wav': 'audio/x-wav',
  // Browsers know no other name for an animated one.
  'image/apng': 'image/png',
  'application/x-zip-compressed': 'application/zip',
}

function isText(start: Uint8Array): boolean {
  let text: string
  try {
    // The cut at the end may split a character, which streaming mode forgives.
    text = new TextDecoder('utf-8', { fatal: true }).decode(start, { stream: true })
  } catch {
    return false
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
  return !/[\u0000-\u0008\u000e-\u001f]/.test(text) && !/^\s*<(?:!doctype|html|script|svg|\?xml)/i.test(text)
}
