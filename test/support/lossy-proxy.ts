import { connect, createServer, type Server, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'
import type { SeededRandom } from './seeded-random.ts'

/** A TCP proxy that loses answers: what the server sends back is thrown away and the connection closed. */
export interface LossyProxy {
  readonly url: string
  /** Answers that were thrown away so far. */
  dropped(): number
}

/** Stands before `targetUrl` until the test ends and loses about `share` (0 to 1) of the answers. */
export async function startLossyProxy(
  targetUrl: string,
  share: number,
  random: SeededRandom,
): Promise<LossyProxy> {
  const { hostname, port } = new URL(targetUrl)
  const open = new Set<Socket>()
  let dropped = 0
  const server: Server = createServer((client) => {
    const upstream = connect(Number(port), hostname)
    for (const socket of [client, upstream]) {
      open.add(socket)
      socket.on('close', () => open.delete(socket))
    }
    client.on('data', (chunk) => upstream.write(chunk))
    upstream.on('data', (chunk) => {
      if (random.chance(share)) {
        dropped++
        client.destroy()
        upstream.destroy()
      } else client.write(chunk)
    })
    const closeBoth = () => {
      client.destroy()
      upstream.destroy()
    }
    for (const socket of [client, upstream]) socket.on('error', closeBoth).on('end', closeBoth)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(async () => {
    for (const socket of open) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the proxy does not listen')
  return { url: `http://127.0.0.1:${address.port}`, dropped: () => dropped }
}
