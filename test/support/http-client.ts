import { Agent, request } from 'node:http'

/** What came of a request: a whole answer, or none. */
export type Result =
  | { readonly kind: 'answer'; readonly status: number; readonly body: string }
  /** `begun`: the head of an answer came, and then the connection broke. */
  | { readonly kind: 'lost'; readonly begun: boolean; readonly reason: string }

export interface Call {
  readonly method?: 'GET' | 'POST'
  readonly body?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly timeoutMs?: number
}

const TIMEOUT_MS_DEFAULT = 20_000

/** Keeps connections open between requests, one request at a time on each, and never sends one again by itself. */
export class HttpClient {
  private readonly agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY })

  /** Never rejects: a connection that breaks is a result. */
  send(url: string, call: Call = {}): Promise<Result> {
    const { body, headers = {}, timeoutMs = TIMEOUT_MS_DEFAULT } = call
    const method = call.method ?? (body === undefined ? 'GET' : 'POST')
    return new Promise((resolve) => {
      let begun = false
      const lost = (error: Error) => resolve({ kind: 'lost', begun, reason: error.message })
      const sent = request(url, {
        agent: this.agent,
        method,
        headers: body === undefined ? headers : { 'content-type': 'application/json', ...headers },
        timeout: timeoutMs,
      })
      sent.on('timeout', () => sent.destroy(new Error(`no answer within ${timeoutMs} ms`)))
      sent.on('error', lost)
      sent.on('response', (response) => {
        begun = true
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', lost)
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString()
          resolve({ kind: 'answer', status: response.statusCode ?? 0, body: text })
        })
      })
      sent.end(body)
    })
  }

  /** The parsed body of a 200; throws for anything else. */
  async json<Body>(url: string, call: Call = {}): Promise<Body> {
    const result = await this.send(url, call)
    if (result.kind === 'answer' && result.status === 200) return JSON.parse(result.body) as Body
    throw new Error(`${call.method ?? 'GET'} ${url}: ${JSON.stringify(result)}`)
  }

  close(): void {
    this.agent.destroy()
  }
}
