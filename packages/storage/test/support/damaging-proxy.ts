import { type AddressInfo, connect, createServer } from 'node:net'

/** A way to the server on which one bit of every request changes, behind so many bytes. */
export async function damagingProxy(
  target: string,
  behind: number,
): Promise<AsyncDisposable & { readonly url: string }> {
  const { hostname, port } = new URL(target)
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname)
    let passed = 0
    client.on('data', (chunk) => {
      const at = behind - passed
      passed += chunk.length
      if (at >= 0 && at < chunk.length) chunk[at] = (chunk[at] ?? 0) ^ 1
      upstream.write(chunk)
    })
    upstream.pipe(client)
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      one.on('error', () => other.destroy())
      one.on('close', () => other.destroy())
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: () => new Promise((resolve) => void server.close(() => resolve())),
  }
}
