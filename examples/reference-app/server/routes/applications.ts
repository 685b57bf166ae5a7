import { Router } from 'express'
import { applySchema, changeApplicationSchema, issueUploadSchema } from '../../contract/application.ts'
import { accountOf, employerOf } from '../auth/authenticate.ts'
import {
  applicationById,
  applicationOf,
  applicationsBy,
  apply,
  moveApplication,
} from '../domain/applications.ts'
import { movedMessage, notifyAccount, notifyCompany, receivedMessage } from '../domain/notifications.ts'
import { bodyOf, idOf } from '../http/input.ts'
import { HttpProblem } from '../http/problem.ts'
import type { Services } from '../services.ts'

/** Uploading a résumé, applying with it, and moving an application along. */
export function applicationRoutes({ db, live, resumes }: Services): Router {
  const router = Router()

  router.post('/uploads', async (req, res) => {
    const seeker = accountOf(req, 'seeker')
    res.status(201).json(await resumes.issue(seeker.id, bodyOf(req, issueUploadSchema)))
  })

  router.post('/jobs/:id/applications', async (req, res) => {
    const seeker = accountOf(req, 'seeker')
    const jobId = idOf(req)
    const { uploadToken, note } = bodyOf(req, applySchema)
    // A repeat finds its upload spent; the first try's application is the answer it missed.
    const earlier = await applicationOf(db.primary, jobId, seeker.id)
    if (earlier) return void res.json(earlier.mine)
    const resume = await resumes.complete(seeker.id, uploadToken)
    if (!resume.ok) {
      const raced = await applicationOf(db.primary, jobId, seeker.id)
      if (raced) return void res.json(raced.mine)
      throw new HttpProblem('refused', { detail: resume.detail })
    }
    const result = await db.transaction(async (transaction) => {
      const applied = await apply(transaction, {
        jobId,
        applicantId: seeker.id,
        note,
        resumeKey: resume.object.key,
        resumeName: resume.object.name,
      })
      if (!applied?.created) return applied && { ...applied, notifications: undefined }
      const { record } = applied
      const message = receivedMessage(record.received.applicant.name, record.mine.job)
      const notifications = await notifyCompany(transaction, record.companyId, message)
      return { ...applied, notifications }
    })
    if (!result) throw new HttpProblem('not-found', { detail: 'This job is no longer open.' })
    const { record, created, notifications } = result
    for (const [accountId, notification] of notifications ?? []) {
      live.toAccount(accountId, 'application-received', record.received)
      live.toAccount(accountId, 'notification', notification)
    }
    res.status(created ? 201 : 200).json(record.mine)
  })

  router.get('/applications', async (req, res) => {
    res.json(await applicationsBy(db, accountOf(req, 'seeker').id))
  })

  router.patch('/applications/:id', async (req, res) => {
    const employer = employerOf(req)
    const { status, version } = bodyOf(req, changeApplicationSchema)
    const id = idOf(req)
    const result = await db.transaction(async (transaction) => {
      const result = await moveApplication(transaction, {
        id,
        companyId: employer.companyId,
        status,
        version,
      })
      if (!result?.moved) return result && { ...result, notification: undefined }
      const { record } = result
      const message = movedMessage(status, record.mine.job)
      const notification = await notifyAccount(transaction, record.received.applicant.id, message)
      return { ...result, notification }
    })
    if (!result) throw new HttpProblem('not-found')
    const { record, moved, notification } = result
    if (!moved) throw new HttpProblem('conflict', { current: record.received })
    live.toAccount(record.received.applicant.id, 'application-status', record.mine)
    if (notification) live.toAccount(record.received.applicant.id, 'notification', notification)
    live.toAccount(employer.id, 'application-moved', record.received)
    res.json(record.received)
  })

  router.get('/applications/:id/resume', async (req, res) => {
    const account = accountOf(req)
    const record = await applicationById(db, idOf(req))
    const mine = record?.received.applicant.id === account.id
    const received = record !== undefined && record.companyId === account.companyId
    if (!record || !(mine || received)) throw new HttpProblem('not-found')
    // The link alone would lead out of the app and to nowhere.
    if (!resumes.up)
      throw new HttpProblem('unavailable', {
        retryAfter: 5,
        detail: 'Résumés cannot be opened right now. Everything else works.',
      })
    res.set('Cache-Control', 'no-store').json({ url: resumes.link(record.resumeKey, record.mine.resumeName) })
  })

  return router
}
