import { expect } from 'vitest'

/** A problem document, as far as tests look at it. */
export interface Problem {
  readonly status: number
  readonly code: string
  readonly at?: string
  readonly expected?: string
  readonly got?: string
}

/** Sends events and reads answers of one service, and expects the status that the name of the call says. */
export class ReadingClient {
  readonly url: string

  constructor(url: string) {
    this.url = url
  }

  /** Counts events of the counter clicks, unless they name another; answers the position. */
  async send(events: readonly Record<string, unknown>[]): Promise<string> {
    const response = await fetch(`${this.url}/v1/events`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(events.map((event) => ({ counter: 'clicks', ...event }))),
    })
    expect(response.status).toBe(200)
    return ((await response.json()) as { position: string }).position
  }

  async get<Body>(path: string, headers: Record<string, string> = {}): Promise<Body> {
    const response = await fetch(this.url + path, { headers })
    const text = await response.text()
    expect([path, response.status, response.status === 200 ? '' : text]).toEqual([path, 200, ''])
    return JSON.parse(text) as Body
  }

  async problem(path: string, headers: Record<string, string> = {}): Promise<Problem> {
    const response = await fetch(this.url + path, { headers })
    expect(response.headers.get('content-type')).toBe('application/problem+json')
    const body = (await response.json()) as Problem
    expect(body.status).toBe(response.status)
    return body
  }
}
