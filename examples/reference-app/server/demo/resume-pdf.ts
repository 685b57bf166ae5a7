/** One plain page as a PDF, in the one font that every reader has; what is not ASCII is left out. */
export function resumePdf(lines: readonly string[]): Buffer {
  const text = lines
    .flatMap((line) => line.match(/.{1,80}(?:\s|$)/g) ?? [''])
    .map((line) => `(${line.replace(/[^ -~]/g, '').replace(/[\\()]/g, '\\$&')}) Tj T*`)
  const page = `BT /F1 13 Tf 20 TL 72 760 Td\n${text.join('\n')}\nET`
  const objects = [
    '<< /Type /Catalog /Pages 2 0 R >>',
    '<< /Type /Pages /Kids [3 0 R] /Count 1 >>',
    '<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>',
    `<< /Length ${page.length} >>\nstream\n${page}\nendstream`,
    '<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>',
  ]
  let file = '%PDF-1.4\n'
  const offsets = objects.map((object, index) => {
    const at = file.length
    file += `${index + 1} 0 obj\n${object}\nendobj\n`
    return `${String(at).padStart(10, '0')} 00000 n \n`
  })
  const count = objects.length + 1
  return Buffer.from(
    `${file}xref\n0 ${count}\n0000000000 65535 f \n${offsets.join('')}trailer\n<< /Size ${count} /Root 1 0 R >>\nstartxref\n${file.length}\n%%EOF\n`,
  )
}
