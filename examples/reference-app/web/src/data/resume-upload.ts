import { BrowserUpload, UploadRefused, type UploadServer, type UploadTicket } from '@cays/storage/browser'
import { type IssueUpload, RESUME_TYPE } from '../../../contract/application.ts'
import { ApiError, call } from './api.ts'

const server: UploadServer<undefined> = {
  async issue({ name, size, sha256, partSha256 }, signal) {
    const body: IssueUpload = {
      name,
      size,
      type: RESUME_TYPE,
      ...(sha256 ? { sha256 } : {}),
      ...(partSha256 ? { partSha256: [...partSha256] } : {}),
    }
    try {
      return await call<UploadTicket>('/uploads', { method: 'POST', body, signal })
    } catch (error) {
      // What the API does not want is not tried again.
      const refused = error instanceof ApiError && error.status >= 400 && error.status < 429
      throw refused ? new UploadRefused(String(error.status), error.message) : error
    }
  },
}

/** Sends a résumé straight to the bucket; applying with the token proves it. */
export function resumeUpload(file: File): BrowserUpload<undefined> {
  return new BrowserUpload(file, server)
}

/** Why an upload failed, in words for the visitor. */
export function reasonOf(error: unknown): string {
  if (error instanceof ApiError || error instanceof UploadRefused) return error.message
  return 'The connection broke several times. What has arrived is kept.'
}
