import type { ReactNode } from 'react'
import { Logo } from '../ui/logo.tsx'
import { PageTitle } from '../ui/page.tsx'

/** Sign in and sign up look alike: one narrow card. */
export function AuthFrame({
  title,
  lead,
  children,
  below,
}: {
  readonly title: string
  readonly lead: ReactNode
  readonly children: ReactNode
  readonly below?: ReactNode
}) {
  return (
    <div className="wrap max-w-[460px]! pt-8 pb-14 sm:pt-14">
      <PageTitle>{title}</PageTitle>
      <div className="mb-6 text-center">
        <span className="mb-4 inline-block">
          <Logo size={44} />
        </span>
        <h1 className="text-2xl font-semibold tracking-tight">{title}</h1>
        <p className="mt-1 text-soft">{lead}</p>
      </div>
      <div className="card p-5 sm:p-7">{children}</div>
      {below}
    </div>
  )
}

/** Where to go after signing in: a path of this site and nothing else. */
export function nextPath(params: URLSearchParams, otherwise: string): string {
  const next = params.get('next') ?? ''
  return /^\/(?![/\\])/.test(next) ? next : otherwise
}
