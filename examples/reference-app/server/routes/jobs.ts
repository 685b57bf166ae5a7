import { Router } from 'express'
import { changeJobSchema, type JobDetail, jobSearchSchema, postJobSchema } from '../../contract/job.ts'
import { employerOf, sessionOf } from '../auth/authenticate.ts'
import { applicationOf, applicationsFor } from '../domain/applications.ts'
import { changeJobStatus, jobsOfCompany, postJob } from '../domain/jobs.ts'
import { bodyOf, idOf, queryOf } from '../http/input.ts'
import { HttpProblem } from '../http/problem.ts'
import type { Services } from '../services.ts'

/** Browsing and searching for everyone; posting and closing for employers. */
export function jobRoutes({ db, jobPages }: Services): Router {
  const router = Router()

  router.get('/jobs', async (req, res) => {
    res.json(await jobPages.list(queryOf(req, jobSearchSchema)))
  })

  router.get('/jobs/:id', async (req, res) => {
    const id = idOf(req)
    const found = await jobPages.detail(id)
    if (!found) throw new HttpProblem('not-found')
    const account = sessionOf(req)?.account
    const application = account?.role === 'seeker' ? await applicationOf(db, id, account.id) : undefined
    res.json({ ...found, applicationId: application?.mine.id ?? null } satisfies JobDetail)
  })

  router.post('/jobs', async (req, res) => {
    const employer = employerOf(req)
    const job = await postJob(db, employer, bodyOf(req, postJobSchema))
    await jobPages.changed(job.id, db.bookmark())
    res.status(201).location(`/jobs/${job.id}`).json(job)
  })

  router.patch('/jobs/:id', async (req, res) => {
    const employer = employerOf(req)
    const id = idOf(req)
    const { status } = bodyOf(req, changeJobSchema)
    const job = await changeJobStatus(db, employer.companyId, id, status)
    if (!job) throw new HttpProblem('not-found')
    await jobPages.changed(id, db.bookmark())
    res.json(job)
  })

  router.get('/employer/jobs', async (req, res) => {
    res.json(await jobsOfCompany(db, employerOf(req).companyId))
  })

  router.get('/employer/jobs/:id/applications', async (req, res) => {
    res.json(await applicationsFor(db, employerOf(req).companyId, idOf(req)))
  })

  return router
}
