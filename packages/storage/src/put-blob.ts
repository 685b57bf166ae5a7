import { UploadRefused } from './upload-refused.ts'
import type { UploadPart } from './upload-types.ts'

/** Sends bytes to a signed URL, and says how many have left. */
export function putBlob(
  { url, headers }: UploadPart,
  body: Blob,
  signal: AbortSignal,
  onProgress: (sent: number) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    // fetch cannot tell how much of a body has left.
    const request = new XMLHttpRequest()
    const abort = () => request.abort()
    request.open('PUT', url)
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value)
    request.upload.onprogress = (event) => onProgress(event.loaded)
    request.onloadend = () => {
      signal.removeEventListener('abort', abort)
      const { status } = request
      // 412: the key is written once, and an earlier try of ours did it.
      if ((status >= 200 && status < 300) || status === 412) resolve()
      else if (status === 0 || status >= 500 || status === 429) reject(new Error('the connection broke'))
      else reject(new UploadRefused('bucket', 'The store did not take the file.'))
    }
    signal.addEventListener('abort', abort)
    if (signal.aborted) reject(signal.reason)
    else request.send(body)
  })
}
