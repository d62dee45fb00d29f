import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import { composeService, type Service } from '../../src/compose.ts'
import type { Counter } from '../../src/core/counter.ts'
import { loadSettings, type Settings } from '../../src/settings/settings.ts'

/** An answer, its body read. */
export interface Answer {
  readonly status: number
  readonly text: string
  readonly headers: Headers
}

/** A problem document, as far as tests look at it. */
export interface Problem {
  readonly type: string
  readonly status: number
  readonly code: string
  readonly at?: string
  readonly index?: number
  readonly expected?: string
  readonly got?: string
}

/** A line of the ledger, as it is answered. */
export interface LedgerAnswer {
  readonly received: number
  readonly counted: number
  readonly duplicate: number
  readonly rejected: number
  readonly pending: number
  readonly difference: number
}

export interface IntakeService {
  readonly url: string
  readonly service: Service
  post(
    path: string,
    body?: string | Uint8Array<ArrayBuffer>,
    headers?: Record<string, string>,
  ): Promise<Answer>
  value(counter: string, key: string): Promise<number>
  ledger(): Promise<LedgerAnswer>
  /** Stops the service and starts another on the same file. */
  restart(): Promise<void>
  stop(): Promise<void>
}

const COUNTERS = new Map<string, Counter>(
  (
    [
      { name: 'clicks', from: 'events', series: 'minute' },
      { name: 'unread', from: 'events', series: 'none' },
      {
        name: 'seen',
        from: 'events',
        series: 'minute',
        cloudEvents: { type: 'banner.seen', key: 'subject' },
      },
      {
        name: 'spent',
        from: 'events',
        series: 'minute',
        cloudEvents: { type: 'order.paid', key: 'data.customer', delta: 'data.total' },
      },
      {
        name: 'orders',
        from: 'events',
        series: 'minute',
        cloudEvents: { type: 'order.paid', key: 'data.shop' },
      },
    ] as const
  ).map((counter) => [counter.name, counter]),
)

/** The whole service on a store of its own and a free port; requests go through real sockets. */
export async function startIntakeService(more: Partial<Settings> = {}): Promise<IntakeService> {
  const folder = mkdtempSync(join(tmpdir(), 'tally-intake-'))
  const settings: Settings = {
    ...loadSettings({ env: {} }),
    store: `sqlite:${join(folder, 'tally.db')}`,
    port: 0,
    logLevel: 'silent',
    counters: COUNTERS,
    ...more,
  }
  let service = await composeService(settings)
  let url = await service.listen()

  async function json<Body>(path: string): Promise<Body> {
    const response = await fetch(url + path)
    if (response.status !== 200) throw new Error(`${path}: ${response.status} ${await response.text()}`)
    return (await response.json()) as Body
  }

  return {
    get url() {
      return url
    },
    get service() {
      return service
    },
    post: async (path, body, headers = {}) => {
      const typed = body === undefined ? headers : { 'content-type': 'application/json', ...headers }
      const response = await fetch(url + path, { method: 'POST', headers: typed, body: body ?? null })
      return { status: response.status, text: await response.text(), headers: response.headers }
    },
    value: async (counter, key) => {
      const { value } = await json<{ value: number }>(`/v1/counters/${counter}/${encodeURIComponent(key)}`)
      return value
    },
    ledger: async () => {
      const { streams } = await json<{ streams: LedgerAnswer[] }>('/v1/ledger')
      const [line] = streams
      if (line === undefined || streams.length !== 1) throw new Error('not one line in the ledger')
      return line
    },
    restart: async () => {
      await service.stop()
      service = await composeService(settings)
      url = await service.listen()
    },
    stop: async () => {
      await service.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** The problem document of a refused request, checked to be one (RFC 9457). */
export function problemOf({ status, text, headers }: Answer): Problem {
  expect(headers.get('content-type')).toMatch(/^application\/problem\+json/)
  const problem = JSON.parse(text) as Problem
  expect(problem).toMatchObject({ status, type: `/docs/errors#${problem.code}` })
  expect(status).toBeGreaterThanOrEqual(400)
  expect(status).toBeLessThan(500)
  return problem
}
