type Kind = 'primary' | 'secondary' | 'quiet' | 'danger'
type Size = 'normal' | 'small'

const KINDS: Readonly<Record<Kind, string>> = {
  primary: 'bg-sea text-on-sea hover:bg-sea-strong border border-transparent',
  secondary: 'bg-surface text-ink border border-edge hover:border-ink hover:bg-sunken',
  quiet: 'text-sea hover:bg-sea-wash border border-transparent',
  danger: 'bg-surface text-coral border border-coral hover:bg-coral-wash',
}
const SIZES: Readonly<Record<Size, string>> = {
  normal: 'min-h-11 px-4 text-[0.9375rem]',
  small: 'min-h-9 px-3 text-sm',
}

/** The look of a button, for `<button>` and `<Link>` alike. */
export function button(kind: Kind = 'primary', size: Size = 'normal'): string {
  return `inline-flex items-center justify-center gap-2 rounded-card font-medium whitespace-nowrap transition-colors duration-100 select-none disabled:opacity-55 disabled:cursor-not-allowed aria-disabled:opacity-55 ${KINDS[kind]} ${SIZES[size]}`
}
