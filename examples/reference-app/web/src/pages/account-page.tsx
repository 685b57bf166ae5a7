import { Laptop, LogOut, Smartphone } from 'lucide-react'
import { useNavigate } from 'react-router'
import type { SessionInfo } from '../../../contract/account.ts'
import { useMe, useRevokeSession, useSessions, useSignOut } from '../data/account.ts'
import { problemFrom } from '../data/api.ts'
import { toast } from '../data/toasts.ts'
import { Badge } from '../ui/badge.tsx'
import { button } from '../ui/button.ts'
import { Monogram } from '../ui/monogram.tsx'
import { ProblemNotice } from '../ui/notice.tsx'
import { Page } from '../ui/page.tsx'
import { RowsSkeleton } from '../ui/skeletons.tsx'
import { TimeAgo } from '../ui/time-ago.tsx'
import { browserName, isPhone } from '../ui/user-agent.ts'

export function AccountPage() {
  const { data: me } = useMe()
  const navigate = useNavigate()
  const signOut = useSignOut()
  if (!me) return null
  return (
    <Page
      narrow
      title="Account"
      heading="Account"
      actions={
        <button
          type="button"
          className={button('secondary')}
          disabled={signOut.isPending}
          onClick={() =>
            signOut.mutate(undefined, {
              onSuccess: () => void navigate('/'),
              onError: (error) => toast(problemFrom(error).title, { tone: 'problem' }),
            })
          }
        >
          <LogOut aria-hidden size={16} />
          Sign out
        </button>
      }
    >
      <div className="card flex items-center gap-4 p-5">
        <Monogram round name={me.name} />
        <div className="min-w-0">
          <p className="font-semibold">{me.name}</p>
          <p className="truncate text-soft">{me.email}</p>
        </div>
        <span className="ml-auto hidden sm:block">
          <Badge tone="sea">{me.role === 'employer' ? `Hires for ${me.company}` : 'Looks for work'}</Badge>
        </span>
      </div>
      <h2 className="mt-8 text-lg font-semibold">Where you are signed in</h2>
      <p className="mb-3 text-soft">Sign out what you do not know. It takes effect at once, on every page.</p>
      <Sessions />
    </Page>
  )
}

function Sessions() {
  const { data, error, refetch } = useSessions()
  const revoke = useRevokeSession()
  if (!data) return error ? <ProblemNotice error={error} onRetry={refetch} /> : <RowsSkeleton rows={2} />
  const end = (session: SessionInfo) =>
    revoke.mutate(session, {
      onSuccess: () => toast(`${browserName(session.userAgent)} is signed out.`),
      onError: (failure) => toast(problemFrom(failure).title, { tone: 'problem' }),
    })
  return (
    <ul className="card divide-y divide-line">
      {data.map((session) => {
        const Icon = isPhone(session.userAgent) ? Smartphone : Laptop
        const name = browserName(session.userAgent)
        return (
          <li key={session.id} className="flex items-center gap-4 px-5 py-4">
            <Icon aria-hidden size={22} className="flex-none text-faint" />
            <div className="min-w-0 flex-1">
              <p className="flex flex-wrap items-center gap-x-2 font-medium">
                {name}
                {session.current && <Badge tone="reef">This browser</Badge>}
              </p>
              <p className="text-sm text-faint">
                Active <TimeAgo iso={session.lastSeenAt} />, signed in <TimeAgo iso={session.createdAt} />
              </p>
            </div>
            {!session.current && (
              <button
                type="button"
                aria-label={`Sign out ${name}`}
                className={button('danger', 'small')}
                disabled={revoke.isPending}
                onClick={() => end(session)}
              >
                Sign out
              </button>
            )}
          </li>
        )
      })}
    </ul>
  )
}
