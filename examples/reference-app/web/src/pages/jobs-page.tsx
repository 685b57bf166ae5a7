import { LifeBuoy, Search, SlidersHorizontal, X } from 'lucide-react'
import { type KeyboardEvent, lazy, Suspense, useContext, useEffect, useRef, useState } from 'react'
import { useSearchParams } from 'react-router'
import { Heading } from '../data/heading.ts'
import { filterCount, type JobQuery, NO_FILTERS, paramsFrom, queryFrom } from '../data/job-query.ts'
import { useJobSearch } from '../data/jobs.ts'
import { button } from '../ui/button.ts'
import { dollars, plural, sentence } from '../ui/format.ts'
import { HarbourScene } from '../ui/harbour-scene.tsx'
import { JobFilters } from '../ui/job-filters.tsx'
import { JobRow } from '../ui/job-row.tsx'
import { Notice, ProblemNotice } from '../ui/notice.tsx'
import { PageTitle } from '../ui/page.tsx'
import { RowsSkeleton } from '../ui/skeletons.tsx'

const Sheet = lazy(async () => ({ default: (await import('../ui/overlay.tsx')).Sheet }))

const TYPING_PAUSE = 150

export function JobsPage() {
  const [params, setParams] = useSearchParams()
  const query = queryFrom(params)
  const [sheetOpen, setSheetOpen] = useState(false)
  const page = useRef<HTMLDivElement>(null)
  // At once and not when React finds time: the next click must see what this one chose.
  const change = (part: Partial<JobQuery>, replace = false) =>
    setParams(paramsFrom({ ...query, ...part }), { replace, preventScrollReset: true, flushSync: true })
  const filters = filterCount(query)

  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: arrow keys are a shortcut; every row is a link by itself
    <div ref={page} onKeyDown={(event) => walk(event, page.current)}>
      <PageTitle>{query.q ? `${query.q} – jobs` : 'Jobs'}</PageTitle>
      <section aria-label="Search" className="relative overflow-clip border-b border-line bg-sea-wash/50">
        <HarbourScene />
        <div className="wrap relative py-7 sm:py-10">
          <h1 className="text-2xl font-semibold tracking-tight sm:text-[2rem]">Work across the islands</h1>
          <p className="mt-1 text-soft">
            From Nassau to Cat Island: find it, send your résumé, hear back live.
          </p>
          <SearchBox value={query.q} onChange={(q) => change({ q }, true)} />
        </div>
      </section>
      <div className="wrap grid gap-x-10 pt-5 pb-12 lg:grid-cols-[15rem_minmax(0,1fr)] lg:pt-8">
        <aside aria-label="Filters" className="hidden lg:block">
          <div className="sticky top-22 -mr-2 max-h-[calc(100dvh-6.5rem)] overflow-y-auto pr-2 pb-2">
            <JobFilters query={query} onChange={change} />
          </div>
        </aside>
        <div>
          <div className="mb-4 flex flex-wrap items-center gap-2 lg:not-has-[ul]:hidden">
            <button
              type="button"
              className={`${button('secondary', 'small')} lg:hidden`}
              onClick={() => setSheetOpen(true)}
            >
              <SlidersHorizontal aria-hidden size={16} />
              Filters
              {filters > 0 && <span className="tabular-nums">({filters})</span>}
            </button>
            <ActiveFilters query={query} onChange={change} />
          </div>
          <Results query={query} onClear={() => change({ q: '', ...NO_FILTERS })} />
        </div>
      </div>
      {sheetOpen && (
        <Suspense>
          <Sheet
            open
            title="Filters"
            onClose={() => setSheetOpen(false)}
            footer={<SheetFooter query={query} onChange={change} onClose={() => setSheetOpen(false)} />}
          >
            <JobFilters query={query} onChange={change} />
          </Sheet>
        </Suspense>
      )}
    </div>
  )
}

function SearchBox({ value, onChange }: { readonly value: string; readonly onChange: (q: string) => void }) {
  const [text, setText] = useState(value)
  const heading = useContext(Heading)
  const input = useRef<HTMLInputElement>(null)
  const told = useRef(value)
  const tell = useRef(onChange)
  useEffect(() => {
    tell.current = onChange
  })
  // The address changed without us: back, forward, "clear".
  useEffect(() => {
    if (value === told.current) return
    told.current = value
    setText(value)
  }, [value])
  useEffect(() => {
    if (text === told.current) return
    const here = heading()
    const timer = setTimeout(() => {
      // Whoever clicked a result meanwhile is on the way there: a new address now would call them back.
      if (heading() !== here) return
      told.current = text
      tell.current(text)
    }, TYPING_PAUSE)
    return () => clearTimeout(timer)
  }, [text, heading])
  useEffect(() => {
    // On a phone the keyboard would cover what the page has to show.
    if (matchMedia('(pointer: fine)').matches) input.current?.focus({ preventScroll: true })
    const slash = (event: globalThis.KeyboardEvent) => {
      const { target } = event
      if (event.key !== '/' || event.ctrlKey || event.metaKey) return
      if (target instanceof HTMLElement && target.closest('input, textarea, select, [role=dialog]')) return
      event.preventDefault()
      input.current?.focus()
    }
    addEventListener('keydown', slash)
    return () => removeEventListener('keydown', slash)
  }, [])
  return (
    <search className="relative mt-5 block max-w-3xl">
      <Search
        aria-hidden
        size={20}
        className="pointer-events-none absolute top-1/2 left-4 -translate-y-1/2 text-faint"
      />
      <input
        ref={input}
        type="search"
        aria-label="Search jobs"
        placeholder="Trade, company or place"
        value={text}
        maxLength={120}
        autoComplete="off"
        spellCheck={false}
        enterKeyHint="search"
        onChange={(event) => setText(event.target.value)}
        className="input h-13 pr-12 pl-12 text-[1.0625rem] [&::-webkit-search-cancel-button]:hidden"
      />
      {text && (
        <button
          type="button"
          aria-label="Clear the search"
          className="absolute top-1/2 right-2 grid size-10 -translate-y-1/2 place-items-center rounded-card text-faint hover:bg-sunken hover:text-ink"
          onClick={() => {
            setText('')
            input.current?.focus()
          }}
        >
          <X aria-hidden size={18} />
        </button>
      )}
    </search>
  )
}

interface Filtering {
  readonly query: JobQuery
  readonly onChange: (part: Partial<JobQuery>) => void
}

function ActiveFilters({ query, onChange }: Filtering) {
  const chips = [
    ...(['island', 'trade', 'type'] as const).flatMap((name) =>
      query[name].map((value) => ({
        label: sentence(value),
        remove: () => onChange({ [name]: query[name].filter((other) => other !== value) }),
      })),
    ),
    ...(query.remote ? [{ label: 'Remote', remove: () => onChange({ remote: false }) }] : []),
    ...(query.payMin
      ? [{ label: `From ${dollars(query.payMin)}`, remove: () => onChange({ payMin: null }) }]
      : []),
  ]
  if (chips.length === 0) return null
  return (
    <>
      <ul aria-label="Active filters" className="contents">
        {chips.map(({ label, remove }) => (
          <li key={label}>
            <button
              type="button"
              aria-label={`Remove filter ${label}`}
              onClick={remove}
              className="inline-flex min-h-9 items-center gap-1.5 rounded-full bg-sea-wash pr-2.5 pl-3.5 text-sm font-medium text-sea hover:bg-sea hover:text-on-sea"
            >
              {label}
              <X aria-hidden size={14} />
            </button>
          </li>
        ))}
      </ul>
      <button type="button" className={button('quiet', 'small')} onClick={() => onChange(NO_FILTERS)}>
        Clear all
      </button>
    </>
  )
}

function SheetFooter({ query, onChange, onClose }: Filtering & { readonly onClose: () => void }) {
  const { data } = useJobSearch(query)
  const first = data?.pages[0]
  return (
    <div className="flex gap-2">
      <button type="button" className={button('secondary')} onClick={() => onChange(NO_FILTERS)}>
        Clear
      </button>
      <button type="button" className={`${button()} flex-1`} onClick={onClose}>
        {first ? `Show ${first.capped ? '1,000+ jobs' : plural(first.count, 'job')}` : 'Show jobs'}
      </button>
    </div>
  )
}

function Results({ query, onClear }: { readonly query: JobQuery; readonly onClear: () => void }) {
  const search = useJobSearch(query)
  const { data, error, isPlaceholderData, hasNextPage, isFetchingNextPage, isFetchNextPageError } = search
  const first = data?.pages[0]
  if (!first)
    return error ? <ProblemNotice error={error} onRetry={search.refetch} /> : <RowsSkeleton rows={8} />
  const jobs = data.pages.flatMap((page) => page.items)
  const searching = query.q.trim() !== '' || filterCount(query) > 0
  return (
    <section aria-label="Results" aria-busy={isPlaceholderData}>
      <h2 className="sr-only">Results</h2>
      <p role="status" className="mb-3 text-sm text-soft">
        <strong className="font-semibold text-ink">
          {first.capped ? '1,000+ jobs' : plural(first.count, 'job')}
        </strong>
        {searching ? ' found' : ' open'}, newest first
      </p>
      {error && !isFetchNextPageError && (
        <div className="mb-4">
          <ProblemNotice error={error} onRetry={search.refetch} />
        </div>
      )}
      {jobs.length === 0 ? (
        <Notice
          icon={LifeBuoy}
          title="No job matches all of this"
          actions={
            <button type="button" className={button()} onClick={onClear}>
              Clear search and filters
            </button>
          }
        >
          {filterCount(query) > 0
            ? 'Try fewer filters, or another island.'
            : 'Try a shorter word: “engineer” finds every kind of engineer.'}
        </Notice>
      ) : (
        <ul
          className={`card divide-y divide-line overflow-clip transition-opacity duration-150 ${isPlaceholderData ? 'opacity-60' : ''}`}
        >
          {jobs.map((job) => (
            <li key={job.id}>
              <JobRow job={job} />
            </li>
          ))}
        </ul>
      )}
      {isFetchNextPageError && (
        <div className="mt-4">
          <ProblemNotice error={error} onRetry={search.fetchNextPage} />
        </div>
      )}
      {hasNextPage && !isFetchNextPageError && (
        <div className="mt-5 flex justify-center">
          <button
            type="button"
            className={button('secondary')}
            disabled={isFetchingNextPage}
            onClick={() => void search.fetchNextPage()}
          >
            {isFetchingNextPage ? 'Loading' : 'Show more jobs'}
          </button>
        </div>
      )}
    </section>
  )
}

/** Arrow keys walk from the search box through the rows and back. */
function walk(event: KeyboardEvent, page: HTMLElement | null): void {
  const { key, target } = event
  if ((key !== 'ArrowDown' && key !== 'ArrowUp') || !(target instanceof HTMLElement) || !page) return
  const rows = [...page.querySelectorAll<HTMLElement>('article a')]
  const search = page.querySelector<HTMLElement>('input[type=search]')
  const stops = search ? [search, ...rows] : rows
  const at = stops.indexOf(target)
  if (at < 0) return
  const next = stops[at + (key === 'ArrowDown' ? 1 : -1)]
  if (!next) return
  event.preventDefault()
  next.focus()
  next.closest('article')?.scrollIntoView({ block: 'nearest' })
}
