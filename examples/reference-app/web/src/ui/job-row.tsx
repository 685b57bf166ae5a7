import { MapPin } from 'lucide-react'
import { type FocusEventHandler, useMemo } from 'react'
import { Link } from 'react-router'
import type { JobSummary } from '../../../contract/job.ts'
import { prefetchJob } from '../data/jobs.ts'
import { Badge, LiveDot } from './badge.tsx'
import { pay, sentence } from './format.ts'
import { Monogram } from './monogram.tsx'
import { TimeAgo } from './time-ago.tsx'

const NEW = 36 * 3_600_000

/** One job in a list; the whole row is its link. */
export function JobRow({ job }: { readonly job: JobSummary }) {
  const isNew = useMemo(() => Date.now() - Date.parse(job.postedAt) < NEW, [job.postedAt])
  const prefetch: FocusEventHandler = () => prefetchJob(job.id)
  return (
    <article className="group relative flex gap-4 px-4 py-4.5 transition-colors duration-100 hover:bg-sea-wash/40 sm:px-5">
      <Monogram name={job.company} />
      <div className="min-w-0 flex-1 sm:flex sm:items-start sm:gap-6">
        <div className="min-w-0 flex-1">
          <h3 className="leading-snug font-semibold">
            <Link
              to={`/jobs/${job.id}`}
              onPointerEnter={() => prefetchJob(job.id)}
              onFocus={prefetch}
              className="rounded-sm outline-none group-hover:text-sea after:absolute after:inset-0 after:rounded-card focus-visible:after:outline-2 focus-visible:after:-outline-offset-2 focus-visible:after:outline-sea"
            >
              {job.title}
            </Link>
          </h3>
          <p className="mt-0.5 flex flex-wrap items-center gap-x-1.5 text-[0.9375rem] text-soft">
            <span className="basis-full sm:basis-auto">{job.company}</span>
            <span aria-hidden className="hidden sm:inline">
              ·
            </span>
            <span className="inline-flex items-center gap-1">
              <MapPin aria-hidden size={14} className="flex-none text-faint" />
              {job.place === job.island ? job.place : `${job.place}, ${job.island}`}
            </span>
          </p>
          <p className="mt-2 flex flex-wrap gap-1.5">
            {job.status === 'closed' && <Badge tone="dune">Closed</Badge>}
            {isNew && (
              <Badge tone="coral">
                <LiveDot />
                New
              </Badge>
            )}
            <Badge>{sentence(job.type)}</Badge>
            <Badge>{job.trade}</Badge>
            {job.remote && <Badge tone="reef">Remote</Badge>}
          </p>
        </div>
        <p className="mt-3 flex flex-none flex-wrap items-baseline justify-between gap-x-4 sm:mt-0 sm:flex-col sm:items-end sm:gap-1">
          <span className="font-medium tabular-nums">{pay(job)}</span>
          <span className="text-sm text-faint">
            <TimeAgo iso={job.postedAt} />
          </span>
        </p>
      </div>
    </article>
  )
}
