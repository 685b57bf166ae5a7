import { GetBucketLifecycleConfigurationCommand, type LifecycleRule } from '@aws-sdk/client-s3'
import { causeOf, type Finding, wordsOf } from './doctor-finding.ts'
import type { Provider } from './provider.ts'
import { openS3Client, type S3Settings } from './s3-client.ts'
import { fromS3 } from './s3-error.ts'

const DAY = 86_400_000
const MOST_COUNTED = 1_000

/** Whether abandoned uploads end by themselves. */
export async function examineLifecycle(patient: S3Settings): Promise<Finding> {
  const check = 'lifecycle'
  const advice =
    'Add a rule that ends incomplete multipart uploads after 7 days; storage.sweep() does it earlier.'
  try {
    const rules = await lifecycleOf(patient)
    const days = rules
      .filter(({ Status, Filter, Prefix }) => Status === 'Enabled' && !(Filter?.Prefix ?? Prefix))
      .flatMap(({ AbortIncompleteMultipartUpload: abort }) => abort?.DaysAfterInitiation ?? [])
    if (days.length > 0) {
      return { check, outcome: 'ok', detail: `abandoned uploads end after ${Math.min(...days)} days` }
    }
    return { check, outcome: 'warning', detail: 'abandoned uploads never end by themselves', advice }
  } catch (error) {
    if (causeOf(error) === 'NoSuchLifecycleConfiguration') {
      return { check, outcome: 'warning', detail: 'abandoned uploads never end by themselves', advice }
    }
    return { check, outcome: 'unknown', detail: `these credentials cannot see the rules: ${wordsOf(error)}` }
  }
}

async function lifecycleOf(patient: S3Settings): Promise<readonly LifecycleRule[]> {
  const client = openS3Client(patient)
  try {
    const command = new GetBucketLifecycleConfigurationCommand({ Bucket: patient.bucket })
    return (await client.send(command)).Rules ?? []
  } catch (error) {
    throw fromS3(error)
  } finally {
    client.destroy()
  }
}

/** Whether there are abandoned uploads. */
export async function examineUploads(provider: Provider): Promise<Finding> {
  const before = Date.now() - DAY
  let old = 0
  for await (const { startedAt } of provider.openUploads('')) {
    if (startedAt.getTime() < before && ++old === MOST_COUNTED) break
  }
  const check = 'left behind'
  if (old === 0) return { check, outcome: 'ok', detail: 'no upload was begun more than a day ago' }
  return {
    check,
    outcome: 'warning',
    detail: `${old}${old === MOST_COUNTED ? ' or more' : ''} uploads were begun more than a day ago`,
    advice: 'Run storage.sweep() about once an hour.',
  }
}
