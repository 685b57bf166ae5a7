import type { S3ClientConfig } from '@aws-sdk/client-s3'
import { S3Client } from '@aws-sdk/client-s3'

/** A server that is held to the suite. */
export interface S3Subject {
  readonly url: string
  readonly region: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
  close(): Promise<void>
}

/** Clients of one subject, closed with it. */
export class S3Clients {
  readonly #subject: S3Subject
  readonly #clients: S3Client[] = []

  constructor(subject: S3Subject) {
    this.#subject = subject
  }

  make(config: S3ClientConfig = {}): S3Client {
    const { url, region, accessKeyId, secretAccessKey } = this.#subject
    const client = new S3Client({
      endpoint: url,
      region,
      forcePathStyle: true,
      credentials: { accessKeyId, secretAccessKey },
      maxAttempts: 1,
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      ...config,
    })
    this.#clients.push(client)
    return client
  }

  close(): void {
    for (const client of this.#clients) client.destroy()
  }
}

/** The S3 code and status of a refusal; fails the test when there is none. */
export async function refusal(
  promise: Promise<unknown>,
): Promise<{ name: string; status: number | undefined }> {
  try {
    await promise
  } catch (error) {
    const { name, $metadata } = error as { name: string; $metadata?: { httpStatusCode?: number } }
    return { name, status: $metadata?.httpStatusCode }
  }
  throw new Error('the request was accepted')
}
