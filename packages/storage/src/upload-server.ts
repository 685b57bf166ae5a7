import type { FileFacts } from './file-facts.ts'
import { UploadRefused } from './upload-refused.ts'
import type { UploadTicket } from './upload-types.ts'

/** How the browser talks to the server of the app; `uploadEndpoint` does it with the Express routes. */
export interface UploadServer<Result> {
  /** Throws `UploadRefused` when the file is not wanted. */
  issue(file: FileFacts, signal: AbortSignal): Promise<UploadTicket>
  /** New URLs for an interrupted upload; `undefined` or absent: start again. */
  resume?(
    request: { readonly token: string; readonly partSha256?: readonly string[] },
    signal: AbortSignal,
  ): Promise<UploadTicket | undefined>
  /** What the upload ends with; absent: with the token, for a request of the app's own. */
  complete?(token: string, signal: AbortSignal): Promise<Result>
  /** Tells the server that the file will not come, so that its parts are thrown away at once. */
  abort?(token: string): Promise<unknown>
}

/** The routes of `expressUploads` for one kind of upload, e.g. `/uploads/resume`. */
export function uploadEndpoint<Result = unknown>(url: string, init: RequestInit = {}): UploadServer<Result> {
  const ask = async (step: string, body: object, signal?: AbortSignal) => {
    const headers = { ...(init.headers as Record<string, string>), 'content-type': 'application/json' }
    const request = {
      ...init,
      method: 'POST',
      headers,
      body: JSON.stringify(body),
      ...(signal ? { signal } : {}),
    }
    const answer = await fetch(`${url}/${step}`, request)
    const json = await answer.json().catch(() => undefined)
    if (answer.ok && json) return json
    if (answer.status >= 500 || answer.status === 429) throw new Error(`the server answered ${answer.status}`)
    throw new UploadRefused(
      json?.reason ?? String(answer.status),
      json?.detail ?? 'The server refused the file.',
    )
  }
  return {
    issue: async (file, signal) => (await ask('issue', file, signal)).ticket,
    resume: async (request, signal) => (await ask('resume', request, signal)).ticket,
    complete: async (token, signal) => (await ask('complete', { token }, signal)).result,
    abort: (token) => ask('abort', { token }),
  }
}
