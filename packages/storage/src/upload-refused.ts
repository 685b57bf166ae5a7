/** The server or the bucket does not want the file: the same again is of no use. */
export class UploadRefused extends Error {
  readonly reason: string

  constructor(reason: string, detail: string) {
    super(detail)
    this.name = 'UploadRefused'
    this.reason = reason
  }
}
