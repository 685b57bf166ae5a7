import { FileText, MapPin, Send } from 'lucide-react'
import { useEffect, useRef, useState } from 'react'
import { Link } from 'react-router'
import type { MyApplication } from '../../../contract/application.ts'
import { problemFrom } from '../data/api.ts'
import { openResume, useMyApplications } from '../data/applications.ts'
import { toast } from '../data/toasts.ts'
import { Badge, LiveDot } from '../ui/badge.tsx'
import { button } from '../ui/button.ts'
import { Monogram } from '../ui/monogram.tsx'
import { Notice, ProblemNotice } from '../ui/notice.tsx'
import { Page } from '../ui/page.tsx'
import { RowsSkeleton } from '../ui/skeletons.tsx'
import { STATUS_LABELS } from '../ui/status-labels.ts'
import { StatusSteps } from '../ui/status-steps.tsx'
import { TimeAgo } from '../ui/time-ago.tsx'

export function ApplicationsPage() {
  const { data, error, refetch } = useMyApplications()
  return (
    <Page
      title="My applications"
      heading="My applications"
      lead="This page keeps itself up to date. You see a change the moment it happens."
    >
      {!data && (error ? <ProblemNotice error={error} onRetry={refetch} /> : <RowsSkeleton rows={3} />)}
      {data?.length === 0 && (
        <Notice
          icon={Send}
          title="Nothing sent yet"
          actions={
            <Link to="/" className={button()}>
              Find a job
            </Link>
          }
        >
          When you apply, you can follow it here, step by step.
        </Notice>
      )}
      {data && data.length > 0 && (
        <ul className="space-y-3">
          {data.map((application) => (
            <li key={application.id}>
              <ApplicationCard application={application} />
            </li>
          ))}
        </ul>
      )}
    </Page>
  )
}

function ApplicationCard({ application }: { readonly application: MyApplication }) {
  const { job, status } = application
  const fresh = useChangedHere(application.version)
  const { seeker, next } = STATUS_LABELS[status]
  return (
    <article
      aria-label={`${job.title}: ${seeker}`}
      className={`card p-5 transition-colors duration-150 ${fresh ? 'border-coral-vivid' : ''}`}
    >
      <div className="flex items-start gap-4">
        <Monogram name={job.company} />
        <div className="min-w-0 flex-1">
          <h2 className="leading-snug font-semibold">
            <Link to={`/jobs/${job.id}`} className="rounded-sm hover:text-sea hover:underline">
              {job.title}
            </Link>
          </h2>
          <p className="flex flex-wrap items-center gap-x-1.5 text-[0.9375rem] text-soft">
            <span className="basis-full sm:basis-auto">{job.company}</span>
            <span aria-hidden className="hidden sm:inline">
              ·
            </span>
            <span className="inline-flex items-center gap-1">
              <MapPin aria-hidden size={14} className="text-faint" />
              {job.place}
            </span>
          </p>
        </div>
        {fresh && (
          <Badge tone="coral">
            <LiveDot />
            Just now
          </Badge>
        )}
      </div>
      <div className="mt-5 max-w-2xl">
        {status === 'closed' ? <Badge tone="dune">Closed</Badge> : <StatusSteps status={status} />}
        <p role="status" className="mt-2.5 text-soft">
          {next}
        </p>
      </div>
      <p className="mt-4 flex flex-wrap items-center gap-x-4 gap-y-1 border-t border-line pt-3 text-sm text-faint">
        <span>
          Sent <TimeAgo iso={application.createdAt} />
        </span>
        {application.version > 1 && (
          <span>
            Changed <TimeAgo iso={application.updatedAt} />
          </span>
        )}
        <button
          type="button"
          className="ml-auto inline-flex min-h-9 max-w-full items-center gap-1.5 rounded-md font-medium text-sea hover:underline"
          onClick={() =>
            openResume(application.id).catch((error: unknown) =>
              toast(problemFrom(error).detail ?? problemFrom(error).title, { tone: 'problem' }),
            )
          }
        >
          <FileText aria-hidden size={15} className="flex-none" />
          <span className="truncate">{application.resumeName}</span>
        </button>
      </p>
    </article>
  )
}

const FRESH = 8_000

/** True for a while after the version changed in front of the eyes. */
function useChangedHere(version: number): boolean {
  const shown = useRef(version)
  const [fresh, setFresh] = useState(false)
  useEffect(() => {
    if (shown.current === version) return
    shown.current = version
    setFresh(true)
    const timer = setTimeout(() => setFresh(false), FRESH)
    return () => clearTimeout(timer)
  }, [version])
  return fresh
}
