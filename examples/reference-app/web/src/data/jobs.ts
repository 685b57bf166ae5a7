import { useInfiniteQuery, useMutation, useQuery } from '@tanstack/react-query'
import type { EmployerJob, Job, JobDetail, JobPage, PostJob } from '../../../contract/job.ts'
import { call } from './api.ts'
import { type JobQuery, paramsFrom } from './job-query.ts'
import { keepPreviousData, PRIVATE, queryClient } from './query-client.ts'

export const EMPLOYER_JOBS = [PRIVATE, 'employer-jobs'] as const

export function useJobSearch(query: JobQuery) {
  const params = paramsFrom(query).toString()
  return useInfiniteQuery({
    queryKey: ['jobs', params],
    queryFn: ({ pageParam, signal }) => {
      const search = new URLSearchParams(params)
      if (pageParam) search.set('cursor', pageParam)
      const text = search.toString()
      return call<JobPage>(`/jobs${text ? `?${text}` : ''}`, { signal })
    },
    initialPageParam: '',
    getNextPageParam: (page) => page.nextCursor,
    placeholderData: keepPreviousData,
  })
}

const jobQuery = (id: string) => ({
  queryKey: ['job', id],
  queryFn: ({ signal }: { readonly signal: AbortSignal }) =>
    call<JobDetail>(`/jobs/${encodeURIComponent(id)}`, { signal }),
})

export function useJob(id: string) {
  return useQuery(jobQuery(id))
}

/** Loads a job that the pointer or the keyboard rests on. */
export function prefetchJob(id: string): void {
  void queryClient.prefetchQuery({ ...jobQuery(id), staleTime: 30_000, retry: false })
}

export function useEmployerJobs() {
  return useQuery({
    queryKey: EMPLOYER_JOBS,
    queryFn: ({ signal }) => call<EmployerJob[]>('/employer/jobs', { signal }),
  })
}

export function usePostJob() {
  return useMutation({
    mutationFn: (body: PostJob) => call<Job>('/jobs', { method: 'POST', body }),
    onSuccess: (job) => {
      queryClient.setQueryData<EmployerJob[]>(EMPLOYER_JOBS, (jobs) =>
        jobs ? [{ ...job, applications: 0, newApplications: 0 }, ...jobs] : jobs,
      )
      void queryClient.invalidateQueries({ queryKey: ['jobs'] })
    },
  })
}

export function useChangeJob() {
  return useMutation({
    mutationFn: ({ id, status }: { readonly id: string; readonly status: 'open' | 'closed' }) =>
      call<Job>(`/jobs/${id}`, { method: 'PATCH', body: { status } }),
    onSuccess: (job) => {
      queryClient.setQueryData<EmployerJob[]>(EMPLOYER_JOBS, (jobs) =>
        jobs?.map((each) => (each.id === job.id ? { ...each, status: job.status } : each)),
      )
      queryClient.setQueryData<JobDetail>(['job', job.id], (detail) => detail && { ...detail, job })
      void queryClient.invalidateQueries({ queryKey: ['jobs'] })
    },
  })
}
