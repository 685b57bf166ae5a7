import type { ApplicationStatus } from '../../../contract/application.ts'

/** One word for each status, as the side that reads it would say it. */
export const STATUS_LABELS: Readonly<
  Record<ApplicationStatus, { readonly employer: string; readonly seeker: string; readonly next: string }>
> = {
  new: { employer: 'New', seeker: 'Sent', next: 'The employer has it. You hear here when they open it.' },
  reviewing: { employer: 'Reviewing', seeker: 'In review', next: 'Somebody is reading your application.' },
  interview: {
    employer: 'Interview',
    seeker: 'Interview',
    next: 'They would like to talk. Expect a call or an e-mail.',
  },
  offer: { employer: 'Offer', seeker: 'Offer', next: 'They want you. The details come by e-mail.' },
  closed: { employer: 'Closed', seeker: 'Closed', next: 'This one is closed. There are others.' },
}
