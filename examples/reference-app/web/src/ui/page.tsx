import type { ReactNode } from 'react'

/** Gives the tab its title. */
export function PageTitle({ children }: { readonly children: string }) {
  return <title>{`${children} · Harbour`}</title>
}

export interface PageProps {
  readonly title: string
  /** Shown above the content, unless the page brings its own heading. */
  readonly heading?: ReactNode
  readonly lead?: ReactNode
  readonly actions?: ReactNode
  readonly narrow?: boolean
  readonly children: ReactNode
}

export function Page({ title, heading, lead, actions, narrow = false, children }: PageProps) {
  return (
    <div className={`wrap pt-6 pb-12 sm:pt-10 ${narrow ? 'max-w-[760px]!' : ''}`}>
      <PageTitle>{title}</PageTitle>
      {heading !== undefined && (
        <header className="mb-6 flex flex-wrap items-end justify-between gap-x-6 gap-y-4">
          <div className="min-w-0">
            <h1 className="text-2xl font-semibold tracking-tight sm:text-[1.75rem]">{heading}</h1>
            {lead && <p className="mt-1 max-w-[62ch] text-soft">{lead}</p>}
          </div>
          {actions && <div className="flex flex-wrap gap-2">{actions}</div>}
        </header>
      )}
      {children}
    </div>
  )
}
