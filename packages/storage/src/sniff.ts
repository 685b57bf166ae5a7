import { fileTypeFromBuffer } from 'file-type'

/** Bytes at the start of an object that are enough to tell the types we can tell. */
export const SNIFF_BYTES = 4_100

/**
 * Whether the first bytes agree with the declared type. Types with a signature must show it; plain text has
 * none, so it must show no other and be UTF-8 without control characters.
 */
export async function agrees(start: Uint8Array, declared: string): Promise<boolean> {
  const found = await fileTypeFromBuffer(start)
  if (declared.startsWith('text/') || declared === 'application/json')
    return found === undefined && isText(start)
  return found !== undefined && (found.mime === declared || ALIASES[found.mime] === declared)
}

// What the sniffer calls otherwise than browsers do.
const ALIASES: Readonly<Record<string, string>> = {
  'audio/wav': 'audio/x-wav',
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
