import type { SeededRandom } from './seeded-random.ts'

/** An event as a client sends it; every one has an id and counts 1. */
export interface SentEvent {
  readonly counter: string
  readonly key: string
  readonly id: string
  readonly time?: string
}

/** What a client knows of an event. */
type Knowledge = 'unknown' | 'acknowledged'

interface Known {
  readonly event: SentEvent
  state: Knowledge
}

/** The receipt of a 200. */
export interface Receipt {
  readonly received: number
  readonly counted: number
  readonly duplicate: number
}

/** What the value of a key may be. */
interface Range {
  least: number
  most: number
}

/** By counter and key. */
export type Ranges = ReadonlyMap<string, ReadonlyMap<string, Readonly<Range>>>

export interface OracleOptions {
  readonly counters: readonly string[]
  readonly keysPerCounter: number
}

const LATE_MS_MAX = 48 * 3_600_000

/**
 * Knows every event that was sent and every acknowledgement that came back, and judges each receipt by it:
 * what was never sent before must be counted, what was acknowledged before must be a duplicate. What is
 * unknown (sent, not acknowledged) may be either, until it is sent again.
 */
export class Oracle {
  readonly violations: string[] = []
  private readonly random: SeededRandom
  private readonly options: OracleOptions
  private readonly known = new Map<string, Known>()
  private unsettled: SentEvent[] = []
  private readonly order: Known[] = []
  acknowledgedCount = 0

  constructor(random: SeededRandom, options: OracleOptions) {
    this.random = random
    this.options = options
  }

  /** Unique ids that were ever sent. */
  get sentCount(): number {
    return this.known.size
  }

  /**
   * The events of the next request: first what came back unacknowledged, mixed with new ones, and now and
   * then one that was acknowledged long ago. The caller hands them to `acknowledged` or `unacknowledged`.
   */
  take(size: number): SentEvent[] {
    const again = this.unsettled.splice(0, Math.ceil(size / 2))
    const events = [...again]
    while (events.length < size) events.push(this.newEvent())
    if (size > 1 && this.order.length > 0 && this.random.chance(0.3)) {
      const old = this.random.pick(this.order)
      if (old.state === 'acknowledged') events.push(old.event)
    }
    return events
  }

  /** How many of these were never sent before, and how many were acknowledged; to be asked before sending. */
  expect(events: readonly SentEvent[]): { fresh: number; settled: number } {
    let fresh = 0
    let settled = 0
    for (const event of events) {
      const known = this.known.get(event.id)
      if (known === undefined) {
        fresh++
        const added: Known = { event, state: 'unknown' }
        this.known.set(event.id, added)
        this.order.push(added)
      } else if (known.state === 'acknowledged') settled++
    }
    return { fresh, settled }
  }

  /** A 200 came back. */
  acknowledged(
    events: readonly SentEvent[],
    expected: { fresh: number; settled: number },
    receipt: Receipt,
  ): void {
    const { received, counted, duplicate } = receipt
    if (received !== events.length || counted + duplicate !== received) {
      this.violations.push(`${events.length} events sent, the receipt says ${JSON.stringify(receipt)}`)
    }
    if (counted < expected.fresh) {
      this.violations.push(`${expected.fresh} events sent for the first time, ${counted} counted`)
    }
    if (duplicate < expected.settled) {
      this.violations.push(
        `${expected.settled} events acknowledged before, only ${duplicate} were duplicates`,
      )
    }
    for (const { id } of events) {
      const known = this.known.get(id)
      if (known === undefined || known.state === 'acknowledged') continue
      known.state = 'acknowledged'
      this.acknowledgedCount++
    }
  }

  /** No answer, or a refusal: to be sent again. */
  unacknowledged(events: readonly SentEvent[]): void {
    for (const event of events) {
      if (this.known.get(event.id)?.state === 'unknown') this.unsettled.push(event)
    }
  }

  /** Every event, by whether it was acknowledged. */
  events(isAcknowledged: boolean): SentEvent[] {
    const found: SentEvent[] = []
    for (const { event, state } of this.order) {
      if ((state === 'acknowledged') === isAcknowledged) found.push(event)
    }
    return found
  }

  /**
   * Per counter and key: at least what was acknowledged, at most what was sent. `acknowledged` stands for the
   * acknowledgements, where only those up to some moment count.
   */
  ranges(acknowledged?: readonly SentEvent[]): Ranges {
    const ids = acknowledged === undefined ? undefined : new Set(acknowledged.map(({ id }) => id))
    const ranges = new Map<string, Map<string, Range>>()
    for (const counter of this.options.counters) ranges.set(counter, new Map())
    for (const { event, state } of this.order) {
      const keys = ranges.get(event.counter)
      const range = keys?.get(event.key) ?? { least: 0, most: 0 }
      range.most++
      if (ids === undefined ? state === 'acknowledged' : ids.has(event.id)) range.least++
      keys?.set(event.key, range)
    }
    return ranges
  }

  private newEvent(): SentEvent {
    const counter = this.random.pick(this.options.counters)
    const key = `key-${this.random.between(1, this.options.keysPerCounter)}`
    const event = { counter, key, id: this.newId() }
    if (!this.random.chance(0.2)) return event
    const timeMs = Date.now() - this.random.between(0, LATE_MS_MAX)
    return { ...event, time: new Date(timeMs).toISOString() }
  }

  /** Mostly UUIDv7, as clients should; also random UUIDs and ids of other systems. */
  private newId(): string {
    const kind = this.random.next()
    if (kind < 0.1) return `order/${this.known.size}-${this.random.hex(12)}`
    const version = kind < 0.2 ? '4' : '7'
    const head = version === '4' ? this.random.hex(12) : Date.now().toString(16).padStart(12, '0')
    const tail = `${version}${this.random.hex(3)}-a${this.random.hex(3)}-${this.random.hex(12)}`
    return `${head.slice(0, 8)}-${head.slice(8)}-${tail}`
  }
}
