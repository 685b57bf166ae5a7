import { APPLICATION_STATUSES, type ApplicationStatus } from '../../../contract/application.ts'
import { STATUS_LABELS } from './status-labels.ts'

const STEPS: readonly ApplicationStatus[] = APPLICATION_STATUSES.filter((status) => status !== 'closed')

/** How far an application is, as a line of steps; its words say the same. */
export function StatusSteps({ status }: { readonly status: ApplicationStatus }) {
  const at = STEPS.indexOf(status)
  return (
    <ol aria-label="Progress" className="grid grid-cols-4 gap-1.5">
      {STEPS.map((step, index) => {
        const reached = at >= index
        return (
          <li
            key={step}
            aria-current={step === status ? 'step' : undefined}
            className={`border-t-3 pt-1.5 text-[0.8125rem] transition-colors duration-150 ${
              step === status
                ? 'border-coral-vivid font-semibold text-ink'
                : reached
                  ? 'border-sea text-soft'
                  : 'border-line text-faint'
            }`}
          >
            {STATUS_LABELS[step].seeker}
          </li>
        )
      })}
    </ol>
  )
}
