import { KeyRound } from 'lucide-react'
import { Link, Navigate, Outlet, useLocation } from 'react-router'
import type { Role } from '../../../contract/account.ts'
import { useMe } from '../data/account.ts'
import { button } from './button.ts'
import { Notice, ProblemNotice } from './notice.tsx'
import { Page } from './page.tsx'
import { PageSkeleton } from './skeletons.tsx'

/** Screens behind it need somebody signed in; whoever is not comes back here after signing in. */
export function RequireAccount({ only }: { readonly only?: Role }) {
  const { data: me, error, refetch } = useMe()
  const { pathname, search } = useLocation()
  if (me === undefined) {
    return error ? (
      <Page title="Harbour">
        <ProblemNotice heading="h1" error={error} onRetry={refetch} />
      </Page>
    ) : (
      <PageSkeleton />
    )
  }
  if (me === null) return <Navigate replace to={`/sign-in?next=${encodeURIComponent(pathname + search)}`} />
  if (only && me.role !== only) {
    return (
      <Page title="Another account">
        <Notice
          heading="h1"
          icon={KeyRound}
          title={only === 'employer' ? 'This page is for employers' : 'This page is for job seekers'}
          actions={
            <Link to="/" className={button('secondary')}>
              Look at the jobs
            </Link>
          }
        >
          You are signed in as {me.name}. Sign in with another account to go on.
        </Notice>
      </Page>
    )
  }
  return <Outlet />
}
