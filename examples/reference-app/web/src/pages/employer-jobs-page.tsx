import { MapPin, Plus, Ship, Users } from 'lucide-react'
import { lazy, Suspense, useState } from 'react'
import { Link } from 'react-router'
import type { EmployerJob } from '../../../contract/job.ts'
import { useMe } from '../data/account.ts'
import { problemFrom } from '../data/api.ts'
import { useChangeJob, useEmployerJobs } from '../data/jobs.ts'
import { toast } from '../data/toasts.ts'
import { Badge, LiveDot } from '../ui/badge.tsx'
import { button } from '../ui/button.ts'
import { pay, plural } from '../ui/format.ts'
import { Notice, ProblemNotice } from '../ui/notice.tsx'
import { Page } from '../ui/page.tsx'
import { RowsSkeleton } from '../ui/skeletons.tsx'
import { TimeAgo } from '../ui/time-ago.tsx'

const Confirm = lazy(async () => ({ default: (await import('../ui/overlay.tsx')).Confirm }))

export function EmployerJobsPage() {
  const { data: me } = useMe()
  const { data, error, refetch } = useEmployerJobs()
  const open = data?.filter(({ status }) => status === 'open')
  return (
    <Page
      title="My jobs"
      heading={me?.company ?? 'My jobs'}
      lead="Your jobs and who wants them. Applications arrive here by themselves."
      actions={
        <Link to="/employer/jobs/new" className={button()}>
          <Plus aria-hidden size={18} />
          Post a job
        </Link>
      }
    >
      {!data && (error ? <ProblemNotice error={error} onRetry={refetch} /> : <RowsSkeleton rows={4} />)}
      {data?.length === 0 && (
        <Notice
          icon={Ship}
          title="No job posted yet"
          actions={
            <Link to="/employer/jobs/new" className={button()}>
              Post the first one
            </Link>
          }
        >
          It takes one page and is online at once.
        </Notice>
      )}
      {data && data.length > 0 && open && (
        <>
          <dl className="mb-5 grid grid-cols-3 gap-2 sm:gap-3">
            <Figure name="Open jobs" value={open.length} />
            <Figure name="Applications" value={sum(data, 'applications')} />
            <Figure name="New" value={sum(data, 'newApplications')} live />
          </dl>
          <ul className="card divide-y divide-line overflow-clip">
            {data.map((job) => (
              <li key={job.id}>
                <EmployerJobRow job={job} />
              </li>
            ))}
          </ul>
        </>
      )}
    </Page>
  )
}

function sum(jobs: readonly EmployerJob[], name: 'applications' | 'newApplications'): number {
  return jobs.reduce((total, job) => total + job[name], 0)
}

function Figure({
  name,
  value,
  live = false,
}: {
  readonly name: string
  readonly value: number
  readonly live?: boolean
}) {
  return (
    <div className="card px-4 py-3.5 sm:px-5">
      <dt className="flex items-center gap-1.5 text-sm text-soft">
        {live && value > 0 && <LiveDot />}
        {name}
      </dt>
      <dd className="text-2xl font-semibold tabular-nums">{value}</dd>
    </div>
  )
}

function EmployerJobRow({ job }: { readonly job: EmployerJob }) {
  const [asking, setAsking] = useState(false)
  const change = useChangeJob()
  const set = (status: 'open' | 'closed') =>
    change.mutate(
      { id: job.id, status },
      {
        onSuccess: () =>
          toast(status === 'closed' ? `${job.title} is closed.` : `${job.title} is open again.`),
        onError: (error) => toast(problemFrom(error).detail ?? problemFrom(error).title, { tone: 'problem' }),
      },
    )
  return (
    <article className="group relative flex flex-wrap items-center gap-x-6 gap-y-3 px-4 py-4 hover:bg-sea-wash/40 sm:px-5">
      <div className="min-w-0 flex-1 basis-64">
        <h2 className="flex flex-wrap items-center gap-x-2 leading-snug font-semibold">
          <Link
            to={`/employer/jobs/${job.id}`}
            className="rounded-sm outline-none group-hover:text-sea after:absolute after:inset-0 focus-visible:after:outline-2 focus-visible:after:-outline-offset-2 focus-visible:after:outline-sea"
          >
            {job.title}
          </Link>
          {job.status === 'closed' && <Badge tone="dune">Closed</Badge>}
        </h2>
        <p className="mt-0.5 flex flex-wrap items-center gap-x-1.5 text-sm text-soft">
          <MapPin aria-hidden size={14} className="text-faint" />
          {job.place}
          <span aria-hidden>·</span>
          {pay(job)}
          <span className="hidden whitespace-nowrap sm:inline">
            · <TimeAgo iso={job.postedAt} />
          </span>
        </p>
      </div>
      <p className="flex items-center gap-2 text-sm text-soft tabular-nums">
        <Users aria-hidden size={16} className="text-faint" />
        {plural(job.applications, 'application')}
        {job.newApplications > 0 && (
          <Badge tone="coral">
            <LiveDot />
            {job.newApplications} new
          </Badge>
        )}
      </p>
      <button
        type="button"
        aria-label={job.status === 'open' ? `Close ${job.title}` : `Open again: ${job.title}`}
        className={`${button('secondary', 'small')} relative z-10`}
        disabled={change.isPending}
        onClick={() => (job.status === 'open' ? setAsking(true) : set('open'))}
      >
        {job.status === 'open' ? 'Close' : 'Open again'}
      </button>
      {asking && (
        <Suspense>
          <Confirm
            open
            title={`Close ${job.title}?`}
            action="Close the job"
            onClose={() => setAsking(false)}
            onConfirm={() => set('closed')}
          >
            It leaves the list and takes no more applications. Those you have stay with you, and you can open
            it again.
          </Confirm>
        </Suspense>
      )}
    </article>
  )
}
