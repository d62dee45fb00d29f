import { setTimeout as sleep } from 'node:timers/promises'
import {
  IMPORT_BATCH_EVENTS,
  IMPORT_BATCHES_IN_FLIGHT,
  IMPORT_RETRY_MS_MAX,
  IMPORT_RETRY_PAUSE_MS_MAX,
  SECOND_MS,
} from '../../core/limits.ts'
import { type Api, type ApiAnswer, ApiError } from '../api.ts'
import { CommandError, EXIT } from '../exit.ts'

/** An event as `POST /v1/events` takes it, and the line it comes from. */
export interface ImportEvent {
  readonly line: number
  readonly event: {
    readonly counter: string
    readonly key: string
    readonly delta?: number
    readonly id: string
    readonly time?: string
  }
}

export interface SenderOptions {
  /** Called for an event that the server refused; the rest of its batch is sent again without it. */
  readonly refused: (line: number, reason: string) => void
}

const RETRIED_STATUS: readonly number[] = [408, 409, 429, 502, 503, 504, 507]
const PAUSE_MS_MIN = 50

/**
 * Sends events in batches, a few at a time. What was not acknowledged is sent again, with the same ids, so
 * it does not matter whether the server had counted it.
 */
export class Sender {
  counted = 0
  duplicate = 0
  private readonly api: Api
  private readonly options: SenderOptions
  private waiting: ImportEvent[] = []
  private readonly inFlight = new Set<Promise<void>>()
  private failure: unknown = undefined

  constructor(api: Api, options: SenderOptions) {
    this.api = api
    this.options = options
  }

  /** Takes an event; resolves when there is room for the next. Rejects once a batch could not be sent. */
  async take(event: ImportEvent): Promise<void> {
    this.waiting.push(event)
    if (this.waiting.length === IMPORT_BATCH_EVENTS) await this.flush()
  }

  /** Sends what is left; resolves when everything is acknowledged. */
  async end(): Promise<void> {
    await this.flush()
    await Promise.all(this.inFlight)
    this.throwFailure()
  }

  /** Waits for what is under way, after a failure. */
  async settle(): Promise<void> {
    await Promise.all(this.inFlight)
  }

  private async flush(): Promise<void> {
    this.throwFailure()
    const batch = this.waiting
    this.waiting = []
    if (batch.length === 0) return
    const sending = this.send(batch)
      .catch((error: unknown) => {
        this.failure ??= error
      })
      .finally(() => {
        this.inFlight.delete(sending)
      })
    this.inFlight.add(sending)
    if (this.inFlight.size >= IMPORT_BATCHES_IN_FLIGHT) await Promise.race(this.inFlight)
    this.throwFailure()
  }

  private throwFailure(): void {
    if (this.failure !== undefined) throw this.failure
  }

  private async send(batch: readonly ImportEvent[]): Promise<void> {
    let rest = batch
    while (rest.length > 0) {
      const answer = await this.post(rest)
      if (answer.status === 200) {
        const { counted, duplicate } = JSON.parse(answer.text) as { counted: number; duplicate: number }
        this.counted += counted
        this.duplicate += duplicate
        return
      }
      rest = this.withoutRefused(rest, new ApiError(answer))
    }
  }

  /** A batch is refused whole for one bad event; the answer names it. */
  private withoutRefused(batch: readonly ImportEvent[], error: ApiError): readonly ImportEvent[] {
    const { index } = error.problem
    const refused = index === undefined ? undefined : batch[index]
    if (refused === undefined || error.status === 404 || RETRIED_STATUS.includes(error.status)) {
      const line = refused === undefined ? '' : `line ${refused.line}: `
      throw new CommandError(error.exitCode, `${line}${error.message}`, { cause: error })
    }
    this.options.refused(refused.line, error.message)
    return batch.filter((event) => event !== refused)
  }

  /** Tries again for a while where that can help: a server that is busy, restarting, or out of disk. */
  private async post(batch: readonly ImportEvent[]): Promise<ApiAnswer> {
    const body = JSON.stringify(batch.map(({ event }) => event))
    const endMs = performance.now() + IMPORT_RETRY_MS_MAX
    let pauseMs = PAUSE_MS_MIN
    for (;;) {
      const answer = await this.api
        .request({ method: 'POST', path: '/v1/events', body })
        .catch((error: unknown) => {
          if (error instanceof CommandError && error.exitCode === EXIT.unreachable) return error
          throw error
        })
      const isLast = performance.now() + pauseMs > endMs
      if (answer instanceof CommandError) {
        if (isLast) throw answer
      } else if (!RETRIED_STATUS.includes(answer.status) || isLast) return answer
      const askedMs = answer instanceof CommandError ? 0 : (answer.retryAfterS ?? 0) * SECOND_MS
      await sleep(Math.min(IMPORT_RETRY_PAUSE_MS_MAX, Math.max(askedMs, pauseMs * (0.5 + Math.random()))))
      pauseMs = Math.min(pauseMs * 2, IMPORT_RETRY_PAUSE_MS_MAX)
    }
  }
}
