/**
 * Keeps the process alive until `work` has settled. Probes run over connections that would let it end, which is
 * right only while nobody waits for them.
 */
export async function awake<T>(work: Promise<T>): Promise<T> {
  const timer = setInterval(() => {}, 60_000)
  try {
    return await work
  } finally {
    clearInterval(timer)
  }
}
