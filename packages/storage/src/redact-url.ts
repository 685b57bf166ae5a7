const SECRET = /([?&](?:X-Amz-(?:Signature|Credential|Security-Token)|token)=)[^&#\s"'<>]+/gi

/** A text with the secrets of signed URLs replaced: fit for a log. */
export function redactUrl(text: string): string {
  return text.replace(SECRET, '$1REDACTED')
}
