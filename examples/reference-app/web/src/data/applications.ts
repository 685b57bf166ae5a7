import { useMutation, useQuery } from '@tanstack/react-query'
import type {
  ApplicationStatus,
  Apply,
  MyApplication,
  ReceivedApplication,
} from '../../../contract/application.ts'
import type { JobDetail } from '../../../contract/job.ts'
import { ApiError, call } from './api.ts'
import { EMPLOYER_JOBS } from './jobs.ts'
import { PRIVATE, queryClient } from './query-client.ts'

const MINE = [PRIVATE, 'applications'] as const
const received = (jobId: string) => [PRIVATE, 'received', jobId] as const

export function useMyApplications() {
  return useQuery({
    queryKey: MINE,
    queryFn: ({ signal }) => call<MyApplication[]>('/applications', { signal }),
  })
}

export function useReceivedApplications(jobId: string) {
  return useQuery({
    queryKey: received(jobId),
    queryFn: ({ signal }) =>
      call<ReceivedApplication[]>(`/employer/jobs/${encodeURIComponent(jobId)}/applications`, { signal }),
  })
}

export function useApply(jobId: string) {
  return useMutation({
    mutationFn: (body: Apply) => call<MyApplication>(`/jobs/${jobId}/applications`, { method: 'POST', body }),
    onSuccess: (application) => {
      mergeMine(application)
      queryClient.setQueryData<JobDetail>(
        ['job', jobId],
        (detail) => detail && { ...detail, applicationId: application.id },
      )
    },
  })
}

/** A link to the résumé, asked for when it is opened: it lives for five minutes. */
export async function openResume(applicationId: string): Promise<void> {
  const { url } = await call<{ readonly url: string }>(`/applications/${applicationId}/resume`)
  const link = document.createElement('a')
  link.href = url
  link.rel = 'noopener'
  link.click()
}

/** Moves on their way; what comes back live from them is no news. */
const moving = new Map<string, ApplicationStatus>()

export interface Move {
  readonly application: ReceivedApplication
  readonly status: ApplicationStatus
}

/**
 * Moves an application at once and tells the server after. Resolves with `moved: false` and the server's own
 * state when somebody else was faster; any other failure puts the card back and is thrown.
 */
export function useMoveApplication() {
  return useMutation({
    mutationFn: async ({ application, status }: Move) => {
      const { id, version } = application
      try {
        const now = await call<ReceivedApplication>(`/applications/${id}`, {
          method: 'PATCH',
          body: { status, version },
        })
        return { moved: true, now }
      } catch (error) {
        if (error instanceof ApiError && error.status === 409 && error.problem.current) {
          return { moved: false, now: error.problem.current as ReceivedApplication }
        }
        throw error
      }
    },
    onMutate: ({ application, status }) => {
      moving.set(application.id, status)
      replaceReceived({ ...application, status })
    },
    onSuccess: ({ now }) => mergeReceived(now),
    onError: (_error, { application }) => {
      const present = findReceived(application)
      if (present?.version === application.version) replaceReceived(application)
    },
    onSettled: (_result, _error, { application }) => {
      moving.delete(application.id)
      void queryClient.invalidateQueries({ queryKey: EMPLOYER_JOBS })
    },
  })
}

/** Takes in a state from elsewhere, unless a newer one is here. True when it is news to this page. */
export function mergeReceived(application: ReceivedApplication): boolean {
  const present = findReceived(application)
  if (present && present.version >= application.version) return false
  const own = moving.get(application.id) === application.status
  if (present) replaceReceived(application)
  else {
    queryClient.setQueryData<ReceivedApplication[]>(received(application.jobId), (all) =>
      all ? [application, ...all] : all,
    )
  }
  return !own && present?.status !== application.status
}

export function mergeMine(application: MyApplication): void {
  queryClient.setQueryData<MyApplication[]>(MINE, (all) => {
    const present = all?.find(({ id }) => id === application.id)
    if (!all || (present && present.version >= application.version)) return all
    return present
      ? all.map((each) => (each.id === application.id ? application : each))
      : [application, ...all]
  })
}

function findReceived({ id, jobId }: ReceivedApplication): ReceivedApplication | undefined {
  return queryClient.getQueryData<ReceivedApplication[]>(received(jobId))?.find((each) => each.id === id)
}

function replaceReceived(application: ReceivedApplication): void {
  queryClient.setQueryData<ReceivedApplication[]>(received(application.jobId), (all) =>
    all?.map((each) => (each.id === application.id ? application : each)),
  )
}
