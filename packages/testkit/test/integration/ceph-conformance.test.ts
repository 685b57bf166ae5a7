import { startCephRgw } from '../../../../test/servers/ceph-rgw.ts'
import { s3Conformance } from '../conformance/s3.suite.ts'

const ignoresChecksums = 'it ignores the x-amz-checksum headers'
const onlyR2 = 'a rule of R2 that S3 does not have'

// The suite is R2's own. This shows that what it asks for is S3 wherever R2 does not differ, and lists where Ceph does.
s3Conformance({
  name: 'Ceph RGW',
  start: startCephRgw,
  differences: {
    'takes an aws-chunked stream with a trailing checksum': 'it answers 411',
    'takes keys that differ only in Unicode composition as one': onlyR2,
    'refuses custom metadata over 8,192 bytes': 'its limit is higher',
    'puts with the right If-Match': 'it compares with the quotes and answers 412',
    'verifies CRC32 and tells it': ignoresChecksums,
    'verifies CRC32C and tells it': ignoresChecksums,
    'verifies CRC64NVME and tells it': ignoresChecksums,
    'verifies SHA1 and tells it': ignoresChecksums,
    'verifies SHA256 and tells it': ignoresChecksums,
    'refuses two checksums on one request': onlyR2,
    'refuses a continuation token it did not issue': 'its tokens are plain keys',
    'merges metadata, as only R2 does': onlyR2,
    'copies only the version that was meant': 'it ignores the conditions on the source of a copy',
    'copies only where nothing is, as only R2 does': onlyR2,
    'lets one of ten racing conditional copies win, as only R2 does': onlyR2,
    'copies onto the version that was meant, as only R2 does': onlyR2,
    'tells where the whole is and what its ETag is': 'the ETag in its answer to a completion is empty',
    'reads one part by its number': 'it ignores partNumber',
    'refuses parts of different sizes, as only R2 does': onlyR2,
    'refuses a last part larger than the others, as only R2 does': onlyR2,
    'refuses parts that are not in order': 'it sorts them',
    'refuses part number 10,001': 'it has no such limit',
    'makes a composite SHA-256 of the parts': ignoresChecksums,
    'makes a CRC64NVME of the whole object': ignoresChecksums,
    'refuses a full-object SHA-256': ignoresChecksums,
    'hold the uploader to the signed SHA-256': ignoresChecksums,
    'are refused when signed in the future': 'it checks only the end of the validity of a presigned URL',
  },
})
