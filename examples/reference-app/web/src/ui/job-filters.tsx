import { EMPLOYMENT_TYPES, ISLANDS, TRADES } from '../../../contract/job-words.ts'
import { type JobQuery, PAY_STEPS } from '../data/job-query.ts'
import { SelectInput } from './field.tsx'
import { dollars, sentence } from './format.ts'

export interface JobFiltersProps {
  readonly query: JobQuery
  readonly onChange: (part: Partial<JobQuery>) => void
}

/** Beside the results on a desk, in a sheet on a phone. */
export function JobFilters({ query, onChange }: JobFiltersProps) {
  return (
    <div className="space-y-6">
      <SelectInput
        label="Pay a year"
        value={query.payMin ?? ''}
        onChange={(event) => onChange({ payMin: Number(event.target.value) || null })}
      >
        <option value="">Any</option>
        {PAY_STEPS.map((step) => (
          <option key={step} value={step}>
            From {dollars(step)}
          </option>
        ))}
        {query.payMin && !PAY_STEPS.some((step) => step === query.payMin) && (
          <option value={query.payMin}>From {dollars(query.payMin)}</option>
        )}
      </SelectInput>
      <Tick label="Can be done remotely" checked={query.remote} onChange={(remote) => onChange({ remote })} />
      <Ticks
        legend="Island"
        values={ISLANDS}
        chosen={query.island}
        onChange={(island) => onChange({ island })}
      />
      <Ticks
        legend="Employment"
        values={EMPLOYMENT_TYPES}
        chosen={query.type}
        onChange={(type) => onChange({ type })}
      />
      <Ticks legend="Trade" values={TRADES} chosen={query.trade} onChange={(trade) => onChange({ trade })} />
    </div>
  )
}

function Ticks({
  legend,
  values,
  chosen,
  onChange,
}: {
  readonly legend: string
  readonly values: readonly string[]
  readonly chosen: readonly string[]
  readonly onChange: (chosen: readonly string[]) => void
}) {
  return (
    <fieldset>
      <legend className="mb-1 text-sm font-medium">{legend}</legend>
      <div className="grid grid-cols-2 gap-x-4 lg:grid-cols-1">
        {values.map((value) => (
          <Tick
            key={value}
            label={sentence(value)}
            checked={chosen.includes(value)}
            onChange={(on) => onChange(on ? [...chosen, value] : chosen.filter((other) => other !== value))}
          />
        ))}
      </div>
    </fieldset>
  )
}

function Tick({
  label,
  checked,
  onChange,
}: {
  readonly label: string
  readonly checked: boolean
  readonly onChange: (checked: boolean) => void
}) {
  return (
    <label className="flex min-h-9 cursor-pointer items-center gap-2.5 text-[0.9375rem] hover:text-sea">
      <input
        type="checkbox"
        className="tick"
        checked={checked}
        onChange={(event) => onChange(event.target.checked)}
      />
      {label}
    </label>
  )
}
