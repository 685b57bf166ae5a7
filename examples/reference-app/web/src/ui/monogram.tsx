const TINTS = [
  'bg-sea-wash text-sea',
  'bg-reef-wash text-reef',
  'bg-dune-wash text-dune',
  'bg-coral-wash text-coral',
  'bg-tag text-soft',
] as const

/** A company or a person as two letters on a tint of its own. */
export function Monogram({ name, round = false }: { readonly name: string; readonly round?: boolean }) {
  let sum = 0
  for (const letter of name) sum = (sum * 31 + (letter.codePointAt(0) ?? 0)) % 9_973
  const letters = name
    .split(/\s+/)
    .filter((word) => /^\p{L}/u.test(word))
    .slice(0, 2)
    .map((word) => word.charAt(0).toUpperCase())
    .join('')
  return (
    <span
      aria-hidden
      className={`grid size-10 flex-none place-items-center text-sm font-semibold ${round ? 'rounded-full' : 'rounded-card'} ${TINTS[sum % TINTS.length]}`}
    >
      {letters}
    </span>
  )
}
