/**
 * `Content-Disposition: attachment` with the user's file name, by RFC 6266: an ASCII fallback for old clients
 * and the UTF-8 name (RFC 8187). What could break out of the header or of a file dialog is replaced.
 */
export function attachment(name: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it replaces
  const clean = Array.from(name.replace(/[\u0000-\u001f\u007f"\\/:*?<>|\u202a-\u202e\u2066-\u2069]/g, '_'))
    .slice(0, 120)
    .join('')
    .replace(/^[.\s]+|[.\s]+$/g, '')
  const safe = clean || 'download'
  const ascii = safe
    .normalize('NFKD')
    .replace(/[^\x20-\x7e]/g, '_')
    .replace(/%/g, '_')
  const encoded = encodeURIComponent(Buffer.from(safe).toString()).replace(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
  return `attachment; filename="${ascii}"; filename*=UTF-8''${encoded}`
}
