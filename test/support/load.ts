import { setTimeout as sleep } from 'node:timers/promises'
import { HttpClient, type Result } from './http-client.ts'
import type { Oracle, Receipt, SentEvent } from './oracle.ts'

export interface LoadOptions {
  /** Clients that send one event a request. */
  readonly singles: number
  /** Clients that send batches. */
  readonly batches: number
  readonly batchSize: number
  /** How long a client that sends batches waits between two of them. */
  readonly pauseMs?: number
  /** Ends by itself after about this many events. */
  readonly eventsMax?: number
  readonly timeoutMs?: number
}

/** An acknowledgement, as a test that looks at moments needs it. */
export interface Acknowledgement {
  readonly sentAtMs: number
  readonly atMs: number
  readonly events: readonly SentEvent[]
}

export interface LostRequest {
  readonly sentAtMs: number
  readonly lostAtMs: number
  /** The head of an answer had come. */
  readonly begun: boolean
  readonly reason: string
}

/**
 * Clients that send as fast as they are answered, and send again what was not acknowledged. `target` is asked
 * before each request; undefined means that nobody listens at the moment.
 */
export class Load {
  readonly client = new HttpClient()
  /** Answers that were no 200, by status and code. */
  readonly refusals = new Map<string, number>()
  /** Requests that got no whole answer. */
  readonly lost: LostRequest[] = []
  onAcknowledged: ((acknowledgement: Acknowledgement) => void) | undefined = undefined
  private readonly target: () => string | undefined
  private readonly oracle: Oracle
  private readonly options: LoadOptions
  private isStopping = false
  private readonly clients: Promise<void>[]

  constructor(target: () => string | undefined, oracle: Oracle, options: LoadOptions) {
    this.target = target
    this.oracle = oracle
    this.options = options
    const { singles, batches, batchSize } = options
    this.clients = [
      ...Array.from({ length: singles }, () => this.run(1)),
      ...Array.from({ length: batches }, () => this.run(batchSize)),
    ]
  }

  /** Resolves when every client has its last answer. */
  async stop(): Promise<void> {
    this.isStopping = true
    await this.ended()
  }

  /** Resolves when `eventsMax` were sent and acknowledged, or after `stop`. */
  async ended(): Promise<void> {
    await Promise.all(this.clients)
    this.client.close()
  }

  private isDone(): boolean {
    const { eventsMax = Number.POSITIVE_INFINITY } = this.options
    return this.isStopping || this.oracle.acknowledgedCount >= eventsMax
  }

  private async run(size: number): Promise<void> {
    // Not before the constructor is through.
    await sleep(0)
    while (!this.isDone()) {
      const url = this.target()
      if (url === undefined) await sleep(5)
      else await this.sendOne(url, size)
      if (size > 1 && this.options.pauseMs !== undefined) await sleep(this.options.pauseMs)
    }
  }

  private async sendOne(url: string, size: number): Promise<void> {
    const events = this.oracle.take(size)
    const expected = this.oracle.expect(events)
    const sentAtMs = now()
    const body = JSON.stringify(size === 1 ? events[0] : events)
    const { timeoutMs } = this.options
    const result = await this.client.send(`${url}/v1/events`, {
      body,
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
    })
    if (result.kind === 'answer' && result.status === 200) {
      this.oracle.acknowledged(events, expected, JSON.parse(result.body) as Receipt)
      this.onAcknowledged?.({ sentAtMs, atMs: now(), events })
      return
    }
    this.oracle.unacknowledged(events)
    this.note(result, sentAtMs)
    await sleep(10)
  }

  private note(result: Result, sentAtMs: number): void {
    if (result.kind === 'lost') {
      const { begun, reason } = result
      this.lost.push({ sentAtMs, lostAtMs: now(), begun, reason })
      return
    }
    const refusal = refusalOf(result)
    this.refusals.set(refusal, (this.refusals.get(refusal) ?? 0) + 1)
  }
}

/** Milliseconds since the epoch, with their fractions. */
export function now(): number {
  return performance.timeOrigin + performance.now()
}

/** Status and code of a problem document, such as `507 store_full`. */
export function refusalOf({ status, body }: { status: number; body: string }): string {
  try {
    return `${status} ${String((JSON.parse(body) as { code?: unknown }).code)}`
  } catch {
    return `${status} ${body.slice(0, 80)}`
  }
}
