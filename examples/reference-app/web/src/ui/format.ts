const money = new Intl.NumberFormat('en-BS')
const day = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' })
const full = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'short' })

export function pay({ payFrom, payTo }: { readonly payFrom: number; readonly payTo: number }): string {
  return payFrom === payTo
    ? `B$${money.format(payFrom)}`
    : `B$${money.format(payFrom)} – ${money.format(payTo)}`
}

export function dollars(amount: number): string {
  return `B$${money.format(amount)}`
}

export function count(value: number): string {
  return money.format(value)
}

/** `one` or `many` with its number: "1 job", "12 jobs". */
export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`
}

/** How long ago, in the shortest words that are true. */
export function ago(iso: string, now: number): string {
  const minutes = Math.max(0, Math.round((now - Date.parse(iso)) / 60_000))
  if (minutes < 1) return 'just now'
  if (minutes < 60) return `${minutes} min ago`
  const hours = Math.round(minutes / 60)
  if (hours < 24) return `${plural(hours, 'hour')} ago`
  const days = Math.round(hours / 24)
  if (days < 7) return `${plural(days, 'day')} ago`
  return day.format(new Date(iso))
}

export function moment(iso: string): string {
  return full.format(new Date(iso))
}

export function bytes(size: number): string {
  return size < 1024 * 1024 ? `${Math.ceil(size / 1024)} KB` : `${(size / 1024 / 1024).toFixed(1)} MB`
}

export function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
