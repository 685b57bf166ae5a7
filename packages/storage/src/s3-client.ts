import { S3Client } from '@aws-sdk/client-s3'
import type { Credentials } from './presign.ts'
import type { Capabilities } from './provider.ts'
import { S3Http } from './s3-http.ts'

/** Where a bucket is, who asks, and with how much patience. */
export interface S3Settings {
  readonly name: 'r2' | 's3'
  readonly endpoint: string
  readonly region: string
  readonly bucket: string
  readonly credentials: Credentials
  readonly capabilities: Capabilities
  /** Where everybody can read. */
  readonly publicBaseUrl?: string | undefined
  /** R2's, for grants. */
  readonly accountId?: string | undefined
  /** Milliseconds without progress after which a request is given up and tried again. */
  readonly timeout: number
  /** Tries of one request in all. */
  readonly attempts: number
}

/** The SDK, with our transport and no checksums of its own choice. */
export function openS3Client(settings: S3Settings): S3Client {
  const client = new S3Client({
    endpoint: settings.endpoint,
    region: settings.region,
    credentials: { ...settings.credentials } as Credentials & { sessionToken: string },
    forcePathStyle: true,
    maxAttempts: settings.attempts,
    // The SDK's default adds checksums that R2, Ceph and others refuse or ignore; we send our own.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: new S3Http(settings.timeout),
  })
  hashOnce(client)
  return client
}

/**
 * Keeps the SDK from hashing a body whose MD5 is in a header that it signs: the provider checks that one before the
 * object exists, and a second hash would prove nothing more.
 */
function hashOnce(client: S3Client): void {
  client.middlewareStack.add(
    (next) => (call) => {
      const { headers } = call.request as { readonly headers: Record<string, string> }
      if (headers['content-md5'] !== undefined) headers['x-amz-content-sha256'] = 'UNSIGNED-PAYLOAD'
      return next(call)
    },
    { step: 'build', name: 'hashOnce' },
  )
}
