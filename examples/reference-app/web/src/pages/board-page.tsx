import { ArrowLeft, ExternalLink, FileText, Users } from 'lucide-react'
import { type DragEvent, useEffect, useRef, useState } from 'react'
import { Link, useParams } from 'react-router'
import {
  APPLICATION_STATUSES,
  type ApplicationStatus,
  type ReceivedApplication,
} from '../../../contract/application.ts'
import { problemFrom } from '../data/api.ts'
import { openResume, useMoveApplication, useReceivedApplications } from '../data/applications.ts'
import { useJob } from '../data/jobs.ts'
import { toast } from '../data/toasts.ts'
import { Badge, LiveDot } from '../ui/badge.tsx'
import { button } from '../ui/button.ts'
import { plural } from '../ui/format.ts'
import { Monogram } from '../ui/monogram.tsx'
import { Notice, ProblemNotice } from '../ui/notice.tsx'
import { Page } from '../ui/page.tsx'
import { RowsSkeleton } from '../ui/skeletons.tsx'
import { STATUS_LABELS } from '../ui/status-labels.ts'
import { TimeAgo } from '../ui/time-ago.tsx'

type MoveTo = (application: ReceivedApplication, status: ApplicationStatus) => void

export function BoardPage() {
  const { id = '' } = useParams()
  const { data: detail } = useJob(id)
  const { data, error, refetch } = useReceivedApplications(id)
  const move = useMove()
  const arrived = useArrivals(data)
  return (
    <Page title={detail ? `${detail.job.title}: applications` : 'Applications'}>
      <Link
        to="/employer"
        className="mb-4 inline-flex min-h-9 items-center gap-1.5 rounded-md text-sm font-medium text-sea hover:underline"
      >
        <ArrowLeft aria-hidden size={16} />
        My jobs
      </Link>
      <header className="mb-6 flex flex-wrap items-end justify-between gap-x-6 gap-y-3">
        <div className="min-w-0">
          <h1 className="flex flex-wrap items-center gap-x-3 text-2xl font-semibold tracking-tight sm:text-[1.75rem]">
            {detail ? detail.job.title : 'Applications'}
            {detail?.job.status === 'closed' && <Badge tone="dune">Closed</Badge>}
          </h1>
          <p className="mt-1 text-soft">
            {data ? plural(data.length, 'application') : 'Applications'}
            {detail && `, ${detail.job.place}`}
          </p>
        </div>
        <Link to={`/jobs/${id}`} className={button('secondary', 'small')}>
          <ExternalLink aria-hidden size={15} />
          As applicants see it
        </Link>
      </header>
      {!data &&
        (error ? (
          <ProblemNotice error={error} onRetry={refetch} missing="You have no such job" />
        ) : (
          <RowsSkeleton rows={4} />
        ))}
      {data?.length === 0 && (
        <Notice icon={Users} title="Nobody applied yet">
          Leave this page open: the first application appears here the moment it is sent.
        </Notice>
      )}
      {data && data.length > 0 && <Board applications={data} arrived={arrived} onMove={move} />}
    </Page>
  )
}

function useMove(): MoveTo {
  const { mutate } = useMoveApplication()
  return (application, status) => {
    if (application.status === status) return
    const { name } = application.applicant
    mutate(
      { application, status },
      {
        onSuccess: ({ moved, now }) => {
          if (moved) return
          const where = STATUS_LABELS[now.status].employer.toLowerCase()
          toast(`Somebody else moved ${name} first: now in ${where}. Your move was not made.`, {
            tone: 'problem',
          })
        },
        onError: (error) => {
          const { title, detail, status: code, retryAfter } = problemFrom(error)
          const wait = code === 429 && retryAfter ? ` Try again in ${retryAfter} s.` : ''
          toast(`${name} was not moved. ${detail ?? title}${wait}`, { tone: 'problem' })
        },
      },
    )
  }
}

const DRAGGED = 'application/x-harbour-application'

function Board({
  applications,
  arrived,
  onMove,
}: {
  readonly applications: readonly ReceivedApplication[]
  readonly arrived: ReadonlySet<string>
  readonly onMove: MoveTo
}) {
  const drop = (event: DragEvent, status: ApplicationStatus) => {
    const dragged = applications.find(({ id }) => id === event.dataTransfer.getData(DRAGGED))
    if (dragged) onMove(dragged, status)
  }
  return (
    <div className="grid gap-4 md:-mx-6 md:flex md:gap-3 md:overflow-x-auto md:px-6 md:pb-3">
      {APPLICATION_STATUSES.map((status) => (
        <Column
          key={status}
          status={status}
          applications={applications.filter((application) => application.status === status)}
          arrived={arrived}
          onMove={onMove}
          onDrop={(event) => drop(event, status)}
        />
      ))}
    </div>
  )
}

function Column({
  status,
  applications,
  arrived,
  onMove,
  onDrop,
}: {
  readonly status: ApplicationStatus
  readonly applications: readonly ReceivedApplication[]
  readonly arrived: ReadonlySet<string>
  readonly onMove: MoveTo
  readonly onDrop: (event: DragEvent) => void
}) {
  const [over, setOver] = useState(false)
  const { employer: label } = STATUS_LABELS[status]
  return (
    <section
      aria-label={`${label}, ${plural(applications.length, 'application')}`}
      onDragOver={(event) => {
        if (!event.dataTransfer.types.includes(DRAGGED)) return
        event.preventDefault()
        setOver(true)
      }}
      onDragLeave={(event) => {
        if (!event.currentTarget.contains(event.relatedTarget as Node | null)) setOver(false)
      }}
      onDrop={(event) => {
        event.preventDefault()
        setOver(false)
        onDrop(event)
      }}
      className={`rounded-card border p-2 transition-colors duration-100 md:min-h-88 md:min-w-0 md:shrink-0 md:grow md:basis-50 ${applications.length === 0 ? 'max-xl:md:basis-26' : ''} ${over ? 'border-sea bg-sea-wash' : 'border-transparent bg-sunken'}`}
    >
      <h2 className="flex items-center justify-between px-2 py-1.5 text-sm font-semibold">
        <span className="flex items-center gap-2">
          {status === 'new' && applications.length > 0 && <LiveDot />}
          {label}
        </span>
        <span className="text-faint tabular-nums">{applications.length}</span>
      </h2>
      {applications.length > 0 ? (
        <ul className="space-y-2">
          {applications.map((application) => (
            <li key={application.id}>
              <ApplicantCard application={application} fresh={arrived.has(application.id)} onMove={onMove} />
            </li>
          ))}
        </ul>
      ) : (
        <p className="hidden px-2 py-6 text-center text-sm text-faint md:block">Nobody here</p>
      )}
    </section>
  )
}

function ApplicantCard({
  application,
  fresh,
  onMove,
}: {
  readonly application: ReceivedApplication
  readonly fresh: boolean
  readonly onMove: MoveTo
}) {
  const { applicant, note, status } = application
  return (
    <article
      aria-label={applicant.name}
      draggable
      onDragStart={(event) => {
        event.dataTransfer.setData(DRAGGED, application.id)
        event.dataTransfer.effectAllowed = 'move'
      }}
      className={`arrive rounded-card border bg-surface p-3 md:cursor-grab ${fresh ? 'border-coral-vivid' : 'border-line'}`}
    >
      <div className="flex items-center gap-3">
        <Monogram round name={applicant.name} />
        <div className="min-w-0">
          <h3 className="line-clamp-2 leading-snug font-semibold wrap-break-word">{applicant.name}</h3>
          <p className="flex items-center gap-1.5 text-sm text-faint">
            {fresh && <LiveDot />}
            <TimeAgo iso={application.createdAt} />
          </p>
        </div>
      </div>
      {note && <p className="mt-2.5 line-clamp-4 text-sm wrap-break-word text-soft">{note}</p>}
      <button
        type="button"
        aria-label={`${application.resumeName}, the résumé of ${applicant.name}`}
        className="mt-2 inline-flex min-h-9 max-w-full items-center gap-1.5 rounded-md text-sm font-medium text-sea hover:underline"
        onClick={() =>
          openResume(application.id).catch((error: unknown) =>
            toast(problemFrom(error).detail ?? problemFrom(error).title, { tone: 'problem' }),
          )
        }
      >
        <FileText aria-hidden size={15} className="flex-none" />
        <span className="truncate">{application.resumeName}</span>
      </button>
      <select
        aria-label={`Status of ${applicant.name}`}
        value={status}
        onChange={(event) => onMove(application, event.target.value as ApplicationStatus)}
        className="input mt-2 min-h-9! py-1 text-sm"
      >
        {APPLICATION_STATUSES.map((value) => (
          <option key={value} value={value}>
            {STATUS_LABELS[value].employer}
          </option>
        ))}
      </select>
    </article>
  )
}

const FRESH = 8_000

/** The applications that came, or were moved by somebody else, while the page was looked at. */
function useArrivals(applications: readonly ReceivedApplication[] | undefined): ReadonlySet<string> {
  const known = useRef<ReadonlyMap<string, ReceivedApplication>>(undefined)
  const [arrived, setArrived] = useState<ReadonlySet<string>>(new Set())
  useEffect(() => {
    if (!applications) return
    const before = known.current
    known.current = new Map(applications.map((application) => [application.id, application]))
    if (!before) return
    const news = applications.filter((application) => {
      const was = before.get(application.id)
      // An own move changes the status first and gets its version from the server after.
      return !was || (was.version !== application.version && was.status !== application.status)
    })
    if (news.length === 0) return
    setArrived((all) => new Set([...all, ...news.map(({ id }) => id)]))
    setTimeout(
      () => setArrived((all) => new Set([...all].filter((id) => !news.some((each) => each.id === id)))),
      FRESH,
    )
  }, [applications])
  return arrived
}
