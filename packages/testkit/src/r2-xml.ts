const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }

/** Text made safe inside an element. Control characters become numeric references, as S3 sends them. */
export function escapeXml(text: string): string {
  return text.replace(
    /[&<>"\p{Cc}\ufffe\uffff]/gu,
    (c) => ESCAPES[c] ?? `&#x${c.charCodeAt(0).toString(16)};`,
  )
}

/** One element; `'raw'` content is markup already, anything else is escaped. */
export function element(
  name: string,
  content: string | number | boolean,
  form: 'text' | 'raw' = 'text',
): string {
  return `<${name}>${form === 'raw' ? content : escapeXml(String(content))}</${name}>`
}

/** A whole answer around one root element. */
export function xmlDocument(root: string): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n${root}`
}

/** The root element of an answer in the S3 namespace. */
export function s3Document(name: string, content: string): string {
  return xmlDocument(`<${name} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${content}</${name}>`)
}
