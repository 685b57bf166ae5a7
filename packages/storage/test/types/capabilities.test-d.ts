import { describe, expectTypeOf, it } from 'vitest'
import {
  type Bucket,
  type Capabilities,
  createStorage,
  disk,
  memory,
  r2,
  type Storage,
  s3,
} from '../../src/index.ts'

const credentials = { accessKeyId: 'id', secretAccessKey: 'secret' }
const amazon = { endpoint: 'https://s3.example.com', bucket: 'files', credentials }
const cloudflare = { accountId: 'a', bucket: 'files', credentials }

describe('a bucket whose provider is known', () => {
  const storage = createStorage({
    buckets: {
      r2: r2(cloudflare),
      media: r2({ ...cloudflare, publicBaseUrl: 'https://cdn.example.com' }),
      s3: s3(amazon),
      ceph: s3({ ...amazon, capabilities: { conditionalCopy: false } }),
      old: s3({ ...amazon, capabilities: { conditionalPut: false, signedUrls: false } }),
      disk: disk({ root: '.data', url: 'http://localhost/files', secret: 'x'.repeat(32) }),
      shown: disk({ root: '.data', url: 'http://localhost/files', secret: 'x'.repeat(32), public: true }),
      memory: memory(),
    },
  })

  it('makes grants only of R2', () => {
    storage.bucket('r2').grant({ prefix: 'a/' })
    // @ts-expect-error S3 has none
    storage.bucket('s3').grant({ prefix: 'a/' })
    // @ts-expect-error nor has a folder
    storage.bucket('disk').grant({ prefix: 'a/' })
  })

  it('signs URLs where there are some', () => {
    expectTypeOf(storage.bucket('r2').signedUrl('k')).toEqualTypeOf<string>()
    storage.bucket('disk').signedUrl('k')
    // @ts-expect-error without a url nobody serves it
    storage.bucket('memory').signedUrl('k')
    // @ts-expect-error it says that it has none
    storage.bucket('old').signedUrl('k')
  })

  it('has public URLs where it is public', () => {
    expectTypeOf(storage.bucket('media').publicUrl('k')).toEqualTypeOf<string>()
    storage.bucket('shown').publicUrl('k')
    // @ts-expect-error it has no publicBaseUrl
    storage.bucket('r2').publicUrl('k')
    // @ts-expect-error it is not public
    storage.bucket('disk').publicUrl('k')
  })

  it('takes the conditions that it decides', () => {
    storage.bucket('s3').copy('a', 'b', { ifMatch: 'x' })
    storage.bucket('old').copy('a', 'b', { ifMatch: 'x' })
    // @ts-expect-error it accepts and ignores them
    storage.bucket('ceph').copy('a', 'b', { ifMatch: 'x' })
    storage.bucket('ceph').put('a', 'b', { ifNoneMatch: '*' })
    // @ts-expect-error it has no conditional writes
    storage.bucket('old').put('a', 'b', { ifNoneMatch: '*' })
    // @ts-expect-error nor this one
    storage.bucket('old').put('a', 'b', { ifMatch: 'x' })
  })

  it('tells its capabilities as the compiler knows them', () => {
    expectTypeOf(storage.bucket('r2').capabilities.grants).toEqualTypeOf<true>()
    expectTypeOf(storage.bucket('r2').capabilities.conditionalMultipart).toEqualTypeOf<false>()
    expectTypeOf(storage.bucket('ceph').capabilities.conditionalCopy).toEqualTypeOf<false>()
  })

  it('goes wherever any bucket or storage goes', () => {
    expectTypeOf(storage.bucket('memory')).toExtend<Bucket>()
    expectTypeOf(storage.bucket('media')).toExtend<Bucket>()
    expectTypeOf(storage).toExtend<Pick<Storage, 'uploads' | 'sweep' | 'close'>>()
    const one = createStorage({ buckets: { files: memory() } })
    expectTypeOf(one).toExtend<Storage<'files'>>()
  })

  it('has one of the names that were given', () => {
    // @ts-expect-error there is no bucket of that name
    storage.bucket('other')
  })
})

describe('a bucket whose provider is known only when it runs', () => {
  const somewhere = {} as { readonly url: string | undefined; readonly isR2: boolean }
  const storage = createStorage({
    buckets: {
      files: somewhere.isR2 ? r2(cloudflare) : disk({ root: '.data' }),
      maybe: memory({ url: somewhere.url }),
      shown: r2({ ...cloudflare, publicBaseUrl: somewhere.url }),
    },
  })

  it('takes every call; the call itself refuses', () => {
    storage.bucket('files').grant({ prefix: 'a/' })
    storage.bucket('files').signedUrl('k')
    storage.bucket('maybe').signedUrl('k')
    storage.bucket('shown').publicUrl('k')
    expectTypeOf(storage.bucket('shown').capabilities.publicUrls).toEqualTypeOf<boolean>()
    const any = {} as Bucket
    any.grant({ prefix: 'a/' })
    any.publicUrl('k')
    any.put('a', 'b', { ifMatch: 'x' })
    expectTypeOf(any.capabilities).toEqualTypeOf<Capabilities>()
  })
})

it('options that a source does not know are refused', () => {
  // @ts-expect-error no such option
  r2({ ...cloudflare, publicUrl: 'https://cdn.example.com' })
  // @ts-expect-error no such option
  memory({ adress: 'http://localhost' })
})
