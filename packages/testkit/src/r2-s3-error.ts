import { element, xmlDocument } from './r2-xml.ts'

/** HTTP status and sentence of every refusal R2 documents, under the code an S3 client sees. */
const REFUSALS = {
  AccessDenied: [403, 'The credentials do not allow this operation.'],
  AccessForbidden: [403, 'The CORS policy of the bucket does not allow this request.'],
  BadDigest: [400, 'The checksum in the request does not match the content that arrived.'],
  BucketAlreadyOwnedByYou: [409, 'The bucket exists already and belongs to this account.'],
  BucketNotEmpty: [409, 'Delete all objects and abort all uploads before deleting the bucket.'],
  EntityTooLarge: [400, 'The upload is larger than the maximum size of one request.'],
  EntityTooSmall: [400, 'Every part but the last must have at least 5 MiB.'],
  ExpiredRequest: [400, 'The presigned request has expired.'],
  IncompleteBody: [400, 'The body ended before the announced number of bytes had arrived.'],
  InternalError: [500, 'The server failed to handle the request. Try again.'],
  InvalidArgument: [400, 'An argument of the request is invalid.'],
  InvalidBucketName: [
    400,
    'Bucket names have 3 to 63 characters: lower case letters, digits and inner hyphens.',
  ],
  InvalidDigest: [400, 'A checksum header is malformed.'],
  InvalidObjectName: [400, 'Object keys are valid UTF-8 without NUL and have 1 to 1,024 bytes.'],
  InvalidPart: [400, 'A part was not found, its ETag differs, or the parts are not all of one size.'],
  InvalidPartOrder: [400, 'The parts must be listed in ascending order.'],
  InvalidRange: [416, 'The requested range is not satisfiable.'],
  InvalidRegionName: [400, 'The region must be auto, or one of the location hints of R2.'],
  InvalidRequest: [400, 'The request is invalid.'],
  InvalidStorageClass: [400, 'The storage class must be STANDARD or STANDARD_IA.'],
  InvalidURI: [400, 'The request target cannot be parsed.'],
  MalformedXML: [400, 'The XML body is not well-formed or lacks what this operation needs.'],
  MetadataTooLarge: [400, 'The custom metadata exceeds 8,192 bytes.'],
  MethodNotAllowed: [405, 'The method is not allowed on this resource.'],
  MissingContentLength: [411, 'The request needs a Content-Length header.'],
  NoSuchBucket: [404, 'The bucket does not exist.'],
  NoSuchCORSConfiguration: [404, 'The bucket has no CORS policy.'],
  NoSuchKey: [404, 'The object does not exist.'],
  NoSuchUpload: [404, 'The multipart upload does not exist: it was completed, aborted or never created.'],
  NotImplemented: [501, 'R2 does not implement this.'],
  PreconditionFailed: [412, 'A condition in the request headers is not met.'],
  RequestTimeTooSkewed: [403, 'The clocks of client and server differ by more than 15 minutes.'],
  ServiceUnavailable: [503, 'The service is unavailable. Try again.'],
  SignatureDoesNotMatch: [
    403,
    'The signature does not match the request. Check the secret and what was signed.',
  ],
  TooManyRequests: [429, 'Too many requests. Reduce the rate; one key takes one write per second.'],
  Unauthorized: [401, 'The access key is unknown.'],
} as const satisfies Record<string, readonly [status: number, message: string]>

/** A code an S3 client can meet. */
export type S3ErrorCode = keyof typeof REFUSALS

/** A refusal in the form S3 clients expect: code, sentence and HTTP status. */
export class S3Error extends Error {
  override readonly name = 'S3Error'
  readonly code: S3ErrorCode
  readonly status: number

  constructor(code: S3ErrorCode, message: string = REFUSALS[code][1]) {
    super(message)
    this.code = code
    this.status = REFUSALS[code][0]
  }

  /** The XML body that goes with the status. */
  toXml(requestId: string): string {
    return xmlDocument(
      element(
        'Error',
        element('Code', this.code) + element('Message', this.message) + element('RequestId', requestId),
        'raw',
      ),
    )
  }
}
