import { ArrowLeft } from 'lucide-react'
import { type FormEvent, useState } from 'react'
import { Link, useNavigate } from 'react-router'
import { type JobSummary, postJobSchema } from '../../../contract/job.ts'
import {
  EMPLOYMENT_TYPES,
  type EmploymentType,
  ISLANDS,
  type Island,
  TRADES,
  type Trade,
} from '../../../contract/job-words.ts'
import { useMe } from '../data/account.ts'
import { usePostJob } from '../data/jobs.ts'
import { toast } from '../data/toasts.ts'
import { Badge } from '../ui/badge.tsx'
import { button } from '../ui/button.ts'
import { SelectInput, TextArea, TextInput } from '../ui/field.tsx'
import { checkForm, type FieldErrors, focusFirstError, serverErrors } from '../ui/form.ts'
import { pay, sentence } from '../ui/format.ts'
import { InlineProblem, useHeldBack } from '../ui/inline-problem.tsx'
import { Monogram } from '../ui/monogram.tsx'
import { Page } from '../ui/page.tsx'
import { useDraft } from '../ui/use-draft.ts'

interface Draft {
  readonly title: string
  readonly description: string
  readonly island: Island
  readonly place: string
  readonly trade: Trade
  readonly type: EmploymentType
  readonly remote: boolean
  readonly payFrom: string
  readonly payTo: string
}

const EMPTY: Draft = {
  title: '',
  description: '',
  island: 'New Providence',
  place: '',
  trade: 'Hospitality',
  type: 'full-time',
  remote: false,
  payFrom: '',
  payTo: '',
}

const MESSAGES = {
  title: 'Say what the job is, in a few words.',
  place: 'Name the town or settlement.',
  payFrom: 'Whole dollars a year, at least 1,000.',
  payTo: 'Whole dollars a year, at least 1,000.',
} as const

export function PostJobPage() {
  const { data: me } = useMe()
  const navigate = useNavigate()
  const post = usePostJob()
  const heldBack = useHeldBack(post.error)
  const [draft, setDraft, clearDraft] = useDraft('job', EMPTY)
  const [checkErrors, setErrors] = useState<FieldErrors>({})
  const fromServer = serverErrors(post.error)
  const errors: FieldErrors = { ...fromServer, ...checkErrors }
  const change = (part: Partial<Draft>) => setDraft({ ...draft, ...part })
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = event.currentTarget
    const checked = checkForm(
      postJobSchema,
      { ...draft, payFrom: amount(draft.payFrom), payTo: amount(draft.payTo) },
      MESSAGES,
    )
    setErrors(checked.errors ?? {})
    if (checked.errors) return focusFirstError(form)
    post.mutate(checked.data, {
      onSuccess: (job) => {
        clearDraft()
        toast(`${job.title} is online.`)
        void navigate(`/employer/jobs/${job.id}`, { replace: true })
      },
      onError: () => focusFirstError(form),
    })
  }
  return (
    <Page title="Post a job">
      <Link
        to="/employer"
        className="mb-4 inline-flex min-h-9 items-center gap-1.5 rounded-md text-sm font-medium text-sea hover:underline"
      >
        <ArrowLeft aria-hidden size={16} />
        My jobs
      </Link>
      <h1 className="mb-6 text-2xl font-semibold tracking-tight sm:text-[1.75rem]">Post a job</h1>
      <div className="grid items-start gap-x-10 gap-y-8 lg:grid-cols-[minmax(0,1fr)_24rem]">
        <form noValidate onSubmit={submit} className="space-y-5">
          <TextInput
            label="Title"
            placeholder="Dive guide"
            maxLength={100}
            value={draft.title}
            error={errors.title}
            onChange={(event) => change({ title: event.target.value })}
          />
          <div className="grid gap-5 sm:grid-cols-2">
            <SelectInput
              label="Island"
              value={draft.island}
              error={errors.island}
              onChange={(event) => change({ island: event.target.value as Island })}
            >
              {ISLANDS.map((island) => (
                <option key={island}>{island}</option>
              ))}
            </SelectInput>
            <TextInput
              label="Town or settlement"
              placeholder="Marsh Harbour"
              maxLength={60}
              value={draft.place}
              error={errors.place}
              onChange={(event) => change({ place: event.target.value })}
            />
            <SelectInput
              label="Trade"
              value={draft.trade}
              error={errors.trade}
              onChange={(event) => change({ trade: event.target.value as Trade })}
            >
              {TRADES.map((trade) => (
                <option key={trade}>{trade}</option>
              ))}
            </SelectInput>
            <SelectInput
              label="Employment"
              value={draft.type}
              error={errors.type}
              onChange={(event) => change({ type: event.target.value as EmploymentType })}
            >
              {EMPLOYMENT_TYPES.map((type) => (
                <option key={type} value={type}>
                  {sentence(type)}
                </option>
              ))}
            </SelectInput>
            <TextInput
              label="Pay from, B$ a year"
              inputMode="numeric"
              placeholder="28,000"
              maxLength={12}
              value={draft.payFrom}
              error={errors.payFrom}
              onChange={(event) => change({ payFrom: event.target.value })}
            />
            <TextInput
              label="Pay to, B$ a year"
              inputMode="numeric"
              placeholder="36,000"
              maxLength={12}
              value={draft.payTo}
              error={errors.payTo}
              onChange={(event) => change({ payTo: event.target.value })}
            />
          </div>
          <label className="flex min-h-9 cursor-pointer items-center gap-2.5">
            <input
              type="checkbox"
              className="tick"
              checked={draft.remote}
              onChange={(event) => change({ remote: event.target.checked })}
            />
            Can be done remotely
          </label>
          <TextArea
            label="Description"
            hint="What the days look like, what you ask for, what you offer. An empty line starts a paragraph."
            rows={10}
            maxLength={10_000}
            value={draft.description}
            error={errors.description}
            onChange={(event) => change({ description: event.target.value })}
          />
          <InlineProblem error={Object.keys(fromServer).length > 0 ? undefined : post.error} />
          <div className="flex flex-wrap gap-2">
            <button type="submit" className={button()} disabled={post.isPending || heldBack}>
              {post.isPending ? 'Posting' : 'Post the job'}
            </button>
            <button
              type="button"
              className={button('quiet')}
              onClick={() => {
                clearDraft()
                setErrors({})
                post.reset()
              }}
            >
              Start over
            </button>
          </div>
        </form>
        <Preview draft={draft} company={me?.company ?? ''} />
      </div>
    </Page>
  )
}

/** What somebody typed as money: "28,000", "B$28000". */
function amount(text: string): number {
  const digits = text.replace(/[^\d.]/g, '')
  return digits === '' ? Number.NaN : Number(digits)
}

function Preview({ draft, company }: { readonly draft: Draft; readonly company: string }) {
  const from = amount(draft.payFrom)
  const money: Pick<JobSummary, 'payFrom' | 'payTo'> = { payFrom: from, payTo: amount(draft.payTo) || from }
  return (
    <section aria-labelledby="preview" className="lg:sticky lg:top-22">
      <h2 id="preview" className="mb-2 text-sm font-medium text-soft">
        Preview
      </h2>
      <div className="card max-h-[70dvh] overflow-y-auto p-5">
        <div className="flex items-start gap-3">
          <Monogram name={company} />
          <div className="min-w-0">
            <p className="text-lg leading-snug font-semibold wrap-break-word">
              {draft.title || 'Your title'}
            </p>
            <p className="text-soft">{company}</p>
          </div>
        </div>
        <p className="mt-3 font-medium tabular-nums">{Number.isNaN(from) ? 'Pay' : pay(money)}</p>
        <p className="text-soft">
          {draft.place ? `${draft.place}, ` : ''}
          {draft.island}
        </p>
        <p className="mt-3 flex flex-wrap gap-1.5">
          <Badge>{sentence(draft.type)}</Badge>
          <Badge>{draft.trade}</Badge>
          {draft.remote && <Badge tone="reef">Remote</Badge>}
        </p>
        <div className="mt-4 space-y-3 border-t border-line pt-4 text-[0.9375rem] leading-relaxed wrap-break-word">
          {draft.description.trim() ? (
            <p className="whitespace-pre-line">{draft.description.trim()}</p>
          ) : (
            <p className="text-faint">Your description appears here as you write.</p>
          )}
        </div>
      </div>
    </section>
  )
}
