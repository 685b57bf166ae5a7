import { S3Client } from '@aws-sdk/client-s3'
import { expect, onTestFinished } from 'vitest'
import { runDoctor } from '../../src/doctor-command.ts'

interface Account {
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

export const ORIGIN: string = 'https://app.example.com'

interface Diagnosis {
  readonly code: number
  readonly output: string
  /** Of each check: how it ended. */
  readonly found: Readonly<Record<string, string>>
}

/** What the command prints and ends with; never a secret. */
export async function doctor(
  args: readonly string[],
  { accessKeyId, secretAccessKey }: Account,
): Promise<Diagnosis> {
  const lines: string[] = []
  const env = { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey }
  const code = await runDoctor(args, env, (line) => lines.push(line))
  const output = lines.join('\n')
  expect(output).not.toContain(secretAccessKey)
  expect(output).not.toMatch(/X-Amz-Signature=(?!REDACTED)/)
  const found: Record<string, string> = {}
  for (const line of lines) {
    const [, outcome, check] = /^(ok|warning|FAILED|unknown) +(\w+(?: \w+)?) {2,}/.exec(line) ?? []
    if (outcome && check) found[check] = outcome
  }
  return { code, output, found }
}

export function clientOf(url: string, region: string, { accessKeyId, secretAccessKey }: Account): S3Client {
  const credentials = { accessKeyId, secretAccessKey }
  const client = new S3Client({ endpoint: url, region, credentials, forcePathStyle: true })
  onTestFinished(() => client.destroy())
  return client
}
