import type { ReactNode } from 'react'

type Tone = 'plain' | 'sea' | 'coral' | 'reef' | 'dune'

const TONES: Readonly<Record<Tone, string>> = {
  plain: 'bg-tag text-soft',
  sea: 'bg-sea-wash text-sea',
  coral: 'bg-coral-wash text-coral',
  reef: 'bg-reef-wash text-reef',
  dune: 'bg-dune-wash text-dune',
}

export function Badge({ tone = 'plain', children }: { readonly tone?: Tone; readonly children: ReactNode }) {
  return (
    <span
      className={`inline-flex items-center gap-1.5 rounded-md px-2 py-0.5 text-[0.8125rem] font-medium whitespace-nowrap ${TONES[tone]}`}
    >
      {children}
    </span>
  )
}

/** The coral dot of what is new or live. */
export function LiveDot() {
  return <span aria-hidden className="inline-block size-2 flex-none rounded-full bg-coral-vivid" />
}
