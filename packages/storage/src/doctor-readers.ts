import type { Finding } from './doctor-finding.ts'
import { PLAIN, PROBE } from './doctor-probes.ts'
import { encodePath } from './presign.ts'
import type { Provider } from './provider.ts'
import type { S3Settings } from './s3-client.ts'

/** Whether those can read who shall, and nobody else. */
export async function examineReaders(
  provider: Provider,
  { endpoint, bucket, publicBaseUrl }: S3Settings,
  prefix: string,
): Promise<Finding> {
  const check = 'readers'
  const key = `${prefix}read by strangers`
  await provider.put(key, PROBE, PLAIN, {})
  if (publicBaseUrl === undefined) {
    const { status } = await fetch(`${endpoint}/${bucket}/${encodePath(key)}`)
    return status === 200
      ? {
          check,
          outcome: 'failure',
          detail: 'everybody can read this bucket',
          advice: 'Take its policy or ACL away, or say that it is meant so: --public-url.',
        }
      : { check, outcome: 'ok', detail: 'strangers are refused' }
  }
  const answer = await fetch(`${publicBaseUrl}/${encodePath(key)}`)
  const body = Buffer.from(await answer.arrayBuffer())
  if (answer.status !== 200 || !body.equals(PROBE)) {
    return {
      check,
      outcome: 'failure',
      detail: `the public address does not give the object (status ${answer.status})`,
      advice: 'Connect the custom domain to this bucket.',
    }
  }
  if (/\.r2\.dev$/.test(new URL(publicBaseUrl).hostname)) {
    return {
      check,
      outcome: 'warning',
      detail: 'the public address is one of r2.dev: slowed down on purpose, and not cached',
      advice: 'Connect a custom domain, and switch the r2.dev address off.',
    }
  }
  if (answer.headers.get('x-content-type-options') !== 'nosniff') {
    return {
      check,
      outcome: 'warning',
      detail: 'the public address lets browsers guess types',
      advice: 'Add "X-Content-Type-Options: nosniff" to the answers of the domain.',
    }
  }
  return { check, outcome: 'ok', detail: 'everybody can read, as asked for' }
}
