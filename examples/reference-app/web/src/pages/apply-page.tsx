import type { BrowserUpload, UploadState } from '@cays/storage/browser'
import { ArrowLeft, BadgeCheck, FileText, Pause, Play, RotateCw, Upload, X } from 'lucide-react'
import { type FormEvent, useEffect, useState, useSyncExternalStore } from 'react'
import { DropZone, Button as FileButton, FileTrigger, ProgressBar } from 'react-aria-components'
import { Link, useParams } from 'react-router'
import { issueUploadSchema, type MyApplication, RESUME_TYPE } from '../../../contract/application.ts'
import type { JobDetail } from '../../../contract/job.ts'
import { ApiError } from '../data/api.ts'
import { useApply } from '../data/applications.ts'
import { useJob } from '../data/jobs.ts'
import { reasonOf, resumeUpload } from '../data/resume-upload.ts'
import { button } from '../ui/button.ts'
import { TextArea } from '../ui/field.tsx'
import { bytes } from '../ui/format.ts'
import { InlineProblem, useHeldBack } from '../ui/inline-problem.tsx'
import { Monogram } from '../ui/monogram.tsx'
import { Notice, ProblemNotice } from '../ui/notice.tsx'
import { Page } from '../ui/page.tsx'
import { PageSkeleton } from '../ui/skeletons.tsx'
import { useDraft } from '../ui/use-draft.ts'

export function ApplyPage() {
  const { id = '' } = useParams()
  const { data, error, refetch } = useJob(id)
  const [sent, setSent] = useState<MyApplication>()
  if (!data) {
    return error ? (
      <Page narrow title="Apply">
        <ProblemNotice heading="h1" error={error} onRetry={refetch} missing="This job is not here any more" />
      </Page>
    ) : (
      <PageSkeleton />
    )
  }
  const { job, applicationId } = data
  if (sent) return <Done application={sent} />
  if (applicationId) {
    return (
      <Page narrow title="Apply">
        <Notice
          heading="h1"
          icon={BadgeCheck}
          title="You applied already"
          actions={
            <Link to="/applications" className={button()}>
              See its status
            </Link>
          }
        >
          {job.company} has your application for {job.title}.
        </Notice>
      </Page>
    )
  }
  if (job.status === 'closed') {
    return (
      <Page narrow title="Apply">
        <Notice
          heading="h1"
          icon={X}
          title="This job is closed"
          actions={
            <Link to="/" className={button()}>
              Look at other jobs
            </Link>
          }
        >
          It takes no more applications.
        </Notice>
      </Page>
    )
  }
  return <ApplyForm detail={data} onSent={setSent} />
}

function Done({ application: { job } }: { readonly application: MyApplication }) {
  return (
    <Page narrow title="Application sent">
      <div role="status">
        <Notice
          heading="h1"
          icon={BadgeCheck}
          title="Your application is on its way"
          actions={
            <>
              <Link to="/applications" className={button()}>
                Follow it live
              </Link>
              <Link to="/" className={button('secondary')}>
                Look at more jobs
              </Link>
            </>
          }
        >
          {job.company} sees it now. When they open it, or want to talk, it shows up in your applications and
          under the bell, without a reload.
        </Notice>
      </div>
    </Page>
  )
}

function ApplyForm({
  detail: { job },
  onSent,
}: {
  readonly detail: JobDetail
  readonly onSent: (application: MyApplication) => void
}) {
  const [note, setNote, clearNote] = useDraft(`apply:${job.id}`, '')
  const [upload, setUpload] = useState<BrowserUpload<undefined>>()
  const [refusal, setRefusal] = useState('')
  const apply = useApply(job.id)
  const heldBack = useHeldBack(apply.error)
  const state = useUpload(upload)
  useEffect(() => () => upload?.abort(), [upload])

  const choose = async (file: File | undefined) => {
    setRefusal('')
    apply.reset()
    if (!file) return
    const reason = await whyNot(file)
    if (reason) {
      setRefusal(reason)
      return setUpload(undefined)
    }
    const next = resumeUpload(file)
    setUpload(next)
    next.start()
  }
  const submit = (event: FormEvent) => {
    event.preventDefault()
    if (!state?.token) {
      setRefusal(upload ? 'Wait until your résumé has arrived.' : 'Add your résumé first.')
      return
    }
    apply.mutate(
      { uploadToken: state.token, note },
      {
        onSuccess: (application) => {
          clearNote()
          onSent(application)
        },
        onError: (error) => {
          const reason = refusedFile(error)
          if (!reason) return
          setRefusal(reason)
          setUpload(undefined)
          apply.reset()
        },
      },
    )
  }
  return (
    <Page narrow title={`Apply: ${job.title}`}>
      <Link
        to={`/jobs/${job.id}`}
        className="mb-5 inline-flex min-h-9 items-center gap-1.5 rounded-md text-sm font-medium text-sea hover:underline"
      >
        <ArrowLeft aria-hidden size={16} />
        Back to the job
      </Link>
      <header className="mb-6 flex items-start gap-4">
        <Monogram name={job.company} />
        <div>
          <h1 className="text-2xl leading-tight font-semibold tracking-tight">Apply for {job.title}</h1>
          <p className="mt-0.5 text-soft">
            {job.company}, {job.place}
          </p>
        </div>
      </header>
      <form onSubmit={submit} className="space-y-6">
        <section aria-labelledby="resume-heading">
          <h2 id="resume-heading" className="mb-1.5 text-sm font-medium">
            Résumé
          </h2>
          {upload && state ? (
            <UploadCard upload={upload} state={state} onRemove={() => setUpload(undefined)} />
          ) : (
            <ResumeDrop onFile={(file) => void choose(file)} />
          )}
          {refusal && !state?.token && (
            <p role="alert" className="arrive mt-2 rounded-card bg-coral-wash px-3 py-2.5 text-sm text-coral">
              {refusal}
            </p>
          )}
        </section>
        <TextArea
          label="A few words to the employer"
          hint={
            note.length > 1_600
              ? `${2_000 - note.length} characters left.`
              : 'Not required, and often what counts.'
          }
          rows={5}
          maxLength={2_000}
          value={note}
          onChange={(event) => setNote(event.target.value)}
        />
        <InlineProblem error={apply.error} />
        <button
          type="submit"
          className={`${button()} w-full sm:w-auto`}
          disabled={apply.isPending || heldBack}
        >
          {apply.isPending ? 'Sending' : 'Send application'}
        </button>
      </form>
    </Page>
  )
}

function ResumeDrop({ onFile }: { readonly onFile: (file: File | undefined) => void }) {
  return (
    <DropZone
      aria-label="Drop your résumé here"
      getDropOperation={() => 'copy'}
      onDrop={async (event) => {
        const item = event.items.find((each) => each.kind === 'file')
        onFile(await item?.getFile())
      }}
      className="flex flex-col items-center rounded-card border-2 border-dashed border-line bg-surface px-6 py-9 text-center transition-colors duration-100 data-drop-target:border-sea data-drop-target:bg-sea-wash data-focus-visible:outline-2 data-focus-visible:outline-sea"
    >
      <span className="mb-3 grid size-11 place-items-center rounded-full bg-sea-wash text-sea">
        <Upload aria-hidden size={20} />
      </span>
      <p className="font-medium">Drop your PDF here</p>
      <p className="mb-4 text-sm text-soft">
        Up to 20 MB. It goes straight to the employer’s safe, nowhere else.
      </p>
      <FileTrigger acceptedFileTypes={[RESUME_TYPE]} onSelect={(files) => onFile(files?.[0])}>
        <FileButton className={button('secondary')}>Choose a file</FileButton>
      </FileTrigger>
    </DropZone>
  )
}

type State = UploadState<undefined>

const PHASES: Readonly<Record<State['phase'], string>> = {
  idle: 'Getting ready',
  preparing: 'Getting ready',
  sending: 'Sending',
  paused: 'Paused',
  waiting: 'Connection lost, trying again',
  completing: 'Arrived',
  done: 'Arrived',
  failed: 'Stopped',
}

function UploadCard({
  upload,
  state,
  onRemove,
}: {
  readonly upload: BrowserUpload<undefined>
  readonly state: State
  readonly onRemove: () => void
}) {
  const { phase, sent, total, error } = state
  const running = phase === 'preparing' || phase === 'sending' || phase === 'waiting'
  const percent = Math.floor((100 * sent) / total)
  const action =
    'grid size-11 flex-none place-items-center rounded-card text-soft hover:bg-sunken hover:text-ink'
  return (
    <div className="card p-4">
      <div className="flex items-center gap-3">
        {phase === 'done' ? (
          <BadgeCheck aria-hidden size={22} className="flex-none text-reef" />
        ) : (
          <FileText aria-hidden size={22} className="flex-none text-sea" />
        )}
        <div className="min-w-0 flex-1">
          <p className="truncate font-medium">{upload.file.name}</p>
          <p className="text-sm text-soft tabular-nums">
            <span role="status">{PHASES[phase]}</span>
            {phase === 'done' ? `, ${bytes(total)}` : `, ${bytes(sent)} of ${bytes(total)}`}
          </p>
        </div>
        {running && (
          <button
            type="button"
            aria-label="Pause the upload"
            className={action}
            onClick={() => upload.pause()}
          >
            <Pause aria-hidden size={18} />
          </button>
        )}
        {phase === 'paused' && (
          <button
            type="button"
            aria-label="Resume the upload"
            className={action}
            onClick={() => upload.start()}
          >
            <Play aria-hidden size={18} />
          </button>
        )}
        {phase === 'failed' && (
          <button
            type="button"
            aria-label="Try the upload again"
            className={action}
            onClick={() => upload.start()}
          >
            <RotateCw aria-hidden size={18} />
          </button>
        )}
        <button type="button" aria-label="Remove the file" className={action} onClick={onRemove}>
          <X aria-hidden size={18} />
        </button>
      </div>
      {phase !== 'done' && (
        <ProgressBar aria-label="Upload" value={percent} className="mt-3 block">
          <div className="h-1.5 overflow-hidden rounded-full bg-sunken">
            <div
              className={`h-full rounded-full transition-[width] duration-150 ${phase === 'failed' ? 'bg-coral-vivid' : phase === 'paused' ? 'bg-edge' : 'bg-sea'}`}
              style={{ width: `${percent}%` }}
            />
          </div>
        </ProgressBar>
      )}
      {error !== undefined && (
        <p role="alert" className="mt-3 text-sm text-coral">
          {reasonOf(error)}
        </p>
      )}
    </div>
  )
}

function useUpload(upload: BrowserUpload<undefined> | undefined): State | undefined {
  return useSyncExternalStore(upload?.subscribe ?? nothing, () => upload?.state)
}

function nothing(): () => void {
  return () => {}
}

/** Looks before sending: size, type, and whether the file begins as every PDF does. */
async function whyNot(file: File): Promise<string | undefined> {
  if (file.size === 0) return 'This file is empty.'
  const checked = issueUploadSchema.safeParse({
    name: file.name.slice(0, 200),
    size: file.size,
    type: file.type,
  })
  if (!checked.success) return `${file.name}: ${checked.error.issues[0]?.message}`
  try {
    const start = await file.slice(0, 1_024).text()
    if (!start.includes('%PDF-')) return `${file.name} is called a PDF but is none. Save it as PDF again.`
  } catch {
    return 'The file cannot be read. Was it moved?'
  }
  return undefined
}

function refusedFile(error: unknown): string | undefined {
  if (!(error instanceof ApiError) || !error.problem.type.endsWith('/refused')) return undefined
  const { detail, title } = error.problem
  return detail ?? title
}
