import {
  ArrowLeft,
  BadgeCheck,
  Banknote,
  BriefcaseBusiness,
  CalendarDays,
  Compass,
  House,
  MapPin,
} from 'lucide-react'
import type { ReactNode } from 'react'
import { Link, useParams } from 'react-router'
import type { JobDetail } from '../../../contract/job.ts'
import { useMe } from '../data/account.ts'
import { useJob } from '../data/jobs.ts'
import { Badge } from '../ui/badge.tsx'
import { button } from '../ui/button.ts'
import { pay, sentence } from '../ui/format.ts'
import { JobRow } from '../ui/job-row.tsx'
import { Monogram } from '../ui/monogram.tsx'
import { ProblemNotice } from '../ui/notice.tsx'
import { Page, PageTitle } from '../ui/page.tsx'
import { PageSkeleton } from '../ui/skeletons.tsx'
import { TimeAgo } from '../ui/time-ago.tsx'

export function JobPage() {
  const { id = '' } = useParams()
  const { data, error, refetch } = useJob(id)
  if (data) return <JobView detail={data} />
  if (!error) return <PageSkeleton />
  return (
    <Page title="Job">
      <ProblemNotice heading="h1" error={error} onRetry={refetch} missing="This job is not here any more" />
      <p className="mt-6 text-center">
        <Link to="/" className={button('secondary')}>
          Look at the jobs
        </Link>
      </p>
    </Page>
  )
}

function JobView({ detail }: { readonly detail: JobDetail }) {
  const { job, similar } = detail
  return (
    <div className="wrap pt-5 pb-28 sm:pt-8 sm:pb-12">
      <PageTitle>{`${job.title}, ${job.company}`}</PageTitle>
      <Link
        to="/"
        className="mb-5 inline-flex min-h-9 items-center gap-1.5 rounded-md text-sm font-medium text-sea hover:underline"
      >
        <ArrowLeft aria-hidden size={16} />
        All jobs
      </Link>
      <div className="grid items-start gap-x-12 gap-y-8 lg:grid-cols-[minmax(0,1fr)_20rem]">
        <article className="min-w-0">
          <header className="flex items-start gap-4">
            <Monogram name={job.company} />
            <div className="min-w-0">
              <h1 className="text-2xl leading-tight font-semibold tracking-tight sm:text-[2rem]">
                {job.title}
              </h1>
              <p className="mt-1 text-soft">
                {job.company} ·{' '}
                <span className="whitespace-nowrap">
                  posted <TimeAgo iso={job.postedAt} />
                </span>
              </p>
            </div>
          </header>
          <Facts job={job} />
          <h2 className="mt-8 mb-3 text-lg font-semibold">About the job</h2>
          <div className="max-w-[66ch] space-y-4 text-[1.0625rem] leading-relaxed wrap-break-word">
            {job.description
              .split(/\n{2,}/)
              .filter((paragraph) => paragraph.trim())
              .map((paragraph) => (
                <p key={paragraph} className="whitespace-pre-line">
                  {paragraph}
                </p>
              ))}
          </div>
        </article>
        <aside aria-label="Apply" className="card hidden p-5 lg:sticky lg:top-22 lg:block">
          <p className="text-lg font-semibold tabular-nums">{pay(job)}</p>
          <p className="mb-4 text-sm text-soft">a year, {job.type}</p>
          <ApplyAction detail={detail} />
        </aside>
        {similar.length > 0 && (
          <section aria-labelledby="similar" className="min-w-0">
            <h2 id="similar" className="mb-3 text-lg font-semibold">
              Similar jobs
            </h2>
            <ul className="card divide-y divide-line overflow-clip">
              {similar.map((other) => (
                <li key={other.id}>
                  <JobRow job={other} />
                </li>
              ))}
            </ul>
          </section>
        )}
      </div>
      <div className="fixed inset-x-0 bottom-16 z-20 border-t border-line bg-page px-4 py-2.5 sm:bottom-0 sm:px-6 lg:hidden">
        <ApplyAction detail={detail} />
      </div>
    </div>
  )
}

function Facts({ job }: { readonly job: JobDetail['job'] }) {
  const facts: readonly [icon: ReactNode, name: string, value: ReactNode][] = [
    [<Banknote key="pay" aria-hidden size={18} />, 'Pay a year', pay(job)],
    [<MapPin key="place" aria-hidden size={18} />, 'Where', `${job.place}, ${job.island}`],
    [<BriefcaseBusiness key="type" aria-hidden size={18} />, 'Employment', sentence(job.type)],
    [<Compass key="trade" aria-hidden size={18} />, 'Trade', job.trade],
    ...(job.remote
      ? [[<House key="remote" aria-hidden size={18} />, 'Remote', 'Can be done remotely'] as const]
      : []),
    ...(job.closesAt
      ? [
          [
            <CalendarDays key="closes" aria-hidden size={18} />,
            'Closes',
            <TimeAgo key="at" iso={job.closesAt} />,
          ] as const,
        ]
      : []),
  ].map(([icon, name, value]) => [icon, String(name), value])
  return (
    <dl className="card mt-6 grid grid-cols-1 gap-x-6 gap-y-4 p-5 min-[30rem]:grid-cols-2">
      {facts.map(([icon, name, value]) => (
        <div key={name} className="relative pl-7.5">
          <dt className="text-sm text-faint">
            <span className="absolute top-0.5 left-0 text-sea">{icon}</span>
            {name}
          </dt>
          <dd className="font-medium tabular-nums">{value}</dd>
        </div>
      ))}
    </dl>
  )
}

/** What this visitor can do about this job now. */
function ApplyAction({ detail: { job, applicationId } }: { readonly detail: JobDetail }) {
  const { data: me } = useMe()
  if (applicationId) {
    return (
      <div className="flex items-center justify-between gap-3 lg:block">
        <p className="flex items-center gap-2 text-sm font-medium text-reef lg:mb-3">
          <BadgeCheck aria-hidden size={18} />
          You applied
        </p>
        <Link to="/applications" className={`${button('secondary')} lg:w-full`}>
          See its status
        </Link>
      </div>
    )
  }
  if (job.status === 'closed') {
    return (
      <p className="py-2 text-sm text-soft">
        <Badge tone="dune">Closed</Badge> This job takes no more applications.
      </p>
    )
  }
  if (me?.role === 'employer') {
    return me.company === job.company ? (
      <Link to={`/employer/jobs/${job.id}`} className={`${button()} w-full`}>
        See its applications
      </Link>
    ) : (
      <p className="py-2 text-sm text-soft">You are signed in as an employer. Job seekers apply here.</p>
    )
  }
  return (
    <Link to={`/jobs/${job.id}/apply`} className={`${button()} w-full`}>
      Apply
    </Link>
  )
}
