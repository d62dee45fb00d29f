import { connect } from 'node:net'

export interface RawAnswer {
  /** Everything that came back before the connection was closed. */
  readonly text: string
  readonly closedAfterMs: number
}

export interface RawOptions {
  /** Sent again and again at this interval after the first text, until the connection is closed. */
  readonly drip?: { readonly text: string; readonly everyMs: number }
  /** Sent once. */
  readonly later?: { readonly text: string; readonly afterMs: number }
  /** Resolve as soon as this is found in what came back, without waiting for the close. */
  readonly until?: string
}

/** Sends bytes that no HTTP client would send, and waits until the server closes the connection. */
export function sendRaw(url: string, text: string, options: RawOptions = {}): Promise<RawAnswer> {
  const { hostname, port } = new URL(url)
  const startedMs = performance.now()
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname)
    let received = ''
    const { drip, later, until } = options
    const timer = drip && setInterval(() => socket.write(drip.text), drip.everyMs)
    const once = later && setTimeout(() => socket.write(later.text), later.afterMs)
    const finish = () => {
      clearInterval(timer)
      clearTimeout(once)
      socket.destroy()
      resolve({ text: received, closedAfterMs: performance.now() - startedMs })
    }
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1')
      if (until !== undefined && received.includes(until)) finish()
    })
    socket.on('error', () => {})
    socket.on('close', finish)
    socket.write(text)
  })
}
