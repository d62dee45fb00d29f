import type { ChangedKey } from '../core/batch.ts'
import { TallyError } from '../core/errors.ts'
import {
  KEYS_PER_READ_MAX,
  LIVE_HEARTBEAT_MS,
  LIVE_KEYS_PER_SUBSCRIBER_MAX,
  LIVE_PUSH_INTERVAL_MS,
  LIVE_PUSH_SLICE_MS,
  LIVE_STUCK_MS_MAX,
  LIVE_SUBSCRIBERS_MAX,
  LIVE_SUBSCRIPTIONS_MAX,
  LIVE_UNSENT_BYTES_MAX,
  LIVE_UNSENT_TOTAL_BYTES_MAX,
} from '../core/limits.ts'
import type { Reading } from '../core/reading.ts'
import type { Store } from '../store/store.ts'

/** How a reading is written for one kind of connection; called once for all subscribers of that kind. */
export type LiveFormat = (reading: Reading) => Buffer

/** Why the hub ends a connection. */
export type LiveEnd = 'stuck' | 'expired' | 'stopping'

/** One connection, as the hub sees it. */
export interface LiveSink {
  readonly format: LiveFormat
  /** Until when the subscriber may read, milliseconds since the epoch; for ever if undefined. */
  readonly expiresMs: number | undefined
  /** Bytes that were written and are still held by this process. */
  unsentBytes(): number
  /** Bytes that have left this process; only ever grows. */
  sentBytes(): number
  write(frame: Buffer): void
  /** Called every LIVE_HEARTBEAT_MS. */
  beat(): void
  end(why: LiveEnd): void
}

/** What one subscriber watches. */
export interface LiveSubscription {
  /**
   * Watches these keys too; the current value of each is pushed at once. Throws `invalid_parameter` or
   * `too_many_subscribers`, and then watches none of them.
   */
  add(counter: string, keys: readonly string[]): void
  remove(counter: string, keys: readonly string[]): void
  /** Call when the connection is gone. */
  end(): void
}

export interface LiveHubOptions {
  /** The clock, milliseconds since the epoch. */
  readonly now: () => number
  readonly pushIntervalMs?: number
  readonly stuckMs?: number
}

interface Watched {
  readonly counter: string
  readonly key: string
  readonly subscribers: Set<Subscriber>
}

/** A reading of this turn and its frames, shared by everyone who watches the key. */
interface Fresh {
  readonly reading: Reading
  readonly frames: Map<LiveFormat, Buffer>
}

const NEVER_SENT = -1

/**
 * Pushes absolute readings to whoever watches them.
 *
 * A change only marks its key as dirty. In turns, at most one every LIVE_PUSH_INTERVAL_MS, the values of dirty
 * keys are read and written to their subscribers, each at most once a turn, however often they changed. A
 * subscriber whose socket holds too much is left out until it drains; until then only the set of its dirty keys
 * is kept, and what it gets afterwards are the values of then. So the memory of a subscriber is bounded by its
 * number of keys, and what it sees last is always right, since a change after a reading marks the key again.
 */
export class LiveHub {
  private readonly store: Pick<Store, 'readings'>
  private readonly now: () => number
  private readonly pushIntervalMs: number
  private readonly stuckMs: number
  private readonly watched = new Map<string, Map<string, Watched>>()
  private readonly subscribers = new Set<Subscriber>()
  private readonly changedKeys = new Set<Watched>()
  /** Those with dirty keys. */
  private readonly due = new Set<Subscriber>()
  private subscriptions = 0
  private isTurning = false
  private isStopped = false
  private turnEndedMs = Number.NEGATIVE_INFINITY
  private timer: NodeJS.Timeout | undefined
  private heart: NodeJS.Timeout | undefined

  constructor(store: Pick<Store, 'readings'>, options: LiveHubOptions) {
    this.store = store
    this.now = options.now
    this.pushIntervalMs = options.pushIntervalMs ?? LIVE_PUSH_INTERVAL_MS
    this.stuckMs = options.stuckMs ?? LIVE_STUCK_MS_MAX
    this.timer = undefined
    this.heart = undefined
  }

  /** Call after each commit, with what it changed. Costs one look-up a key, and nothing while nobody watches. */
  changed(keys: readonly ChangedKey[]): void {
    if (this.subscriptions === 0) return
    for (const { counter, key } of keys) {
      const watched = this.watched.get(counter)?.get(key)
      if (watched !== undefined) this.changedKeys.add(watched)
    }
    if (this.changedKeys.size > 0) this.schedule()
  }

  /** Connections and keys that are watched now. */
  get size(): { subscribers: number; subscriptions: number } {
    return { subscribers: this.subscribers.size, subscriptions: this.subscriptions }
  }

  /** Throws `too_many_subscribers` and `shutting_down`. */
  subscribe(sink: LiveSink): LiveSubscription {
    if (this.isStopped) throw new TallyError('shutting_down', 'The service is stopping', { retryAfterS: 1 })
    if (this.subscribers.size >= LIVE_SUBSCRIBERS_MAX) throw tooMany(`${LIVE_SUBSCRIBERS_MAX} connections`)
    const subscriber = new Subscriber(sink)
    this.subscribers.add(subscriber)
    this.heart ??= setInterval(() => this.beat(), LIVE_HEARTBEAT_MS)
    return {
      add: (counter, keys) => this.add(subscriber, counter, keys),
      remove: (counter, keys) => {
        const ofCounter = this.watched.get(counter)
        for (const key of keys) this.forget(subscriber, ofCounter?.get(key))
      },
      end: () => this.drop(subscriber),
    }
  }

  /** Ends every connection; nothing is pushed afterwards. */
  stop(): void {
    this.isStopped = true
    for (const subscriber of this.subscribers) this.end(subscriber, 'stopping')
    clearTimeout(this.timer)
    this.timer = undefined
  }

  private add(subscriber: Subscriber, counter: string, keys: readonly string[]): void {
    if (!this.subscribers.has(subscriber)) return
    const ofCounter = this.watched.get(counter)
    const added = new Set(keys)
    for (const key of keys) {
      const watched = ofCounter?.get(key)
      if (watched !== undefined && subscriber.sent.has(watched)) added.delete(key)
    }
    if (subscriber.sent.size + added.size > LIVE_KEYS_PER_SUBSCRIBER_MAX) {
      throw new TallyError('invalid_parameter', 'One connection would watch too many keys', {
        at: 'keys',
        expected: `at most ${LIVE_KEYS_PER_SUBSCRIBER_MAX} keys`,
        got: `${subscriber.sent.size + added.size} keys`,
      })
    }
    if (this.subscriptions + added.size > LIVE_SUBSCRIPTIONS_MAX) {
      throw tooMany(`${LIVE_SUBSCRIPTIONS_MAX} keys on all connections`)
    }
    for (const key of keys) {
      const watched = this.watch(counter, key)
      if (!subscriber.sent.has(watched)) this.subscriptions++
      watched.subscribers.add(subscriber)
      // Whoever asks again wants to see the value again.
      subscriber.sent.set(watched, NEVER_SENT)
      subscriber.dirty.add(watched)
    }
    this.due.add(subscriber)
    this.schedule()
  }

  private watch(counter: string, key: string): Watched {
    let ofCounter = this.watched.get(counter)
    if (ofCounter === undefined) {
      ofCounter = new Map()
      this.watched.set(counter, ofCounter)
    }
    let watched = ofCounter.get(key)
    if (watched === undefined) {
      watched = { counter, key, subscribers: new Set() }
      ofCounter.set(key, watched)
    }
    return watched
  }

  private forget(subscriber: Subscriber, watched: Watched | undefined): void {
    if (watched === undefined || !subscriber.sent.delete(watched)) return
    subscriber.dirty.delete(watched)
    this.subscriptions--
    watched.subscribers.delete(subscriber)
    if (watched.subscribers.size > 0) return
    const ofCounter = this.watched.get(watched.counter)
    ofCounter?.delete(watched.key)
    if (ofCounter?.size === 0) this.watched.delete(watched.counter)
    this.changedKeys.delete(watched)
  }

  private drop(subscriber: Subscriber): void {
    if (!this.subscribers.delete(subscriber)) return
    for (const watched of [...subscriber.sent.keys()]) this.forget(subscriber, watched)
    this.due.delete(subscriber)
    if (this.subscribers.size > 0) return
    clearInterval(this.heart)
    this.heart = undefined
  }

  private end(subscriber: Subscriber, why: LiveEnd): void {
    this.drop(subscriber)
    subscriber.sink.end(why)
  }

  /** At once after a quiet time, otherwise when the interval is over. */
  private schedule(): void {
    if (this.isTurning || this.isStopped || this.timer !== undefined) return
    const delayMs = Math.max(0, this.turnEndedMs + this.pushIntervalMs - performance.now())
    this.timer = setTimeout(() => {
      this.timer = undefined
      this.isTurning = true
      // What could not be read stays dirty and is tried in the next turn.
      this.turn()
        .catch(() => undefined)
        .finally(() => {
          this.isTurning = false
          this.turnEndedMs = performance.now()
          if (this.due.size > 0 || this.changedKeys.size > 0) this.schedule()
        })
    }, delayMs)
  }

  private async turn(): Promise<void> {
    for (const watched of this.changedKeys) {
      for (const subscriber of watched.subscribers) {
        subscriber.dirty.add(watched)
        this.due.add(subscriber)
      }
    }
    this.changedKeys.clear()
    let sliceFromMs = performance.now()
    let ready: Subscriber[] = []
    let wanted = new Set<Watched>()
    for (const subscriber of [...this.due]) {
      if (!this.isReady(subscriber)) continue
      ready.push(subscriber)
      for (const watched of subscriber.dirty) wanted.add(watched)
      if (wanted.size < KEYS_PER_READ_MAX && performance.now() - sliceFromMs < LIVE_PUSH_SLICE_MS) continue
      this.deliver(ready, await this.read(wanted))
      ready = []
      wanted = new Set()
      // Pushing to thousands must not keep a commit waiting.
      await new Promise(setImmediate)
      sliceFromMs = performance.now()
    }
    if (ready.length > 0) this.deliver(ready, await this.read(wanted))
  }

  private async read(wanted: ReadonlySet<Watched>): Promise<Map<Watched, Fresh>> {
    const byCounter = new Map<string, Watched[]>()
    for (const watched of wanted) {
      const list = byCounter.get(watched.counter)
      if (list === undefined) byCounter.set(watched.counter, [watched])
      else list.push(watched)
    }
    const fresh = new Map<Watched, Fresh>()
    for (const [counter, list] of byCounter) {
      for (let from = 0; from < list.length; from += KEYS_PER_READ_MAX) {
        const part = list.slice(from, from + KEYS_PER_READ_MAX)
        const { readings } = await this.store.readings(counter, { keys: part.map(({ key }) => key) })
        for (const [index, reading] of readings.entries()) {
          const watched = part[index]
          if (watched !== undefined) fresh.set(watched, { reading, frames: new Map() })
        }
      }
    }
    return fresh
  }

  private deliver(ready: readonly Subscriber[], fresh: ReadonlyMap<Watched, Fresh>): void {
    const unsentMax = this.unsentMax()
    for (const subscriber of ready) {
      if (!this.subscribers.has(subscriber)) continue
      for (const watched of subscriber.dirty) {
        const found = fresh.get(watched)
        // Subscribed to while the others were read.
        if (found === undefined) continue
        if (subscriber.sink.unsentBytes() > unsentMax) break
        subscriber.dirty.delete(watched)
        if (found.reading.version <= (subscriber.sent.get(watched) ?? NEVER_SENT)) continue
        subscriber.sent.set(watched, found.reading.version)
        subscriber.sink.write(frameOf(found, subscriber.sink.format))
      }
      if (subscriber.dirty.size === 0) this.due.delete(subscriber)
    }
  }

  /** Whether its socket takes more now; ends it if nothing has left it for too long. */
  private isReady(subscriber: Subscriber): boolean {
    if (!this.subscribers.has(subscriber)) return false
    const { sink } = subscriber
    if (sink.unsentBytes() <= this.unsentMax()) {
      subscriber.progressMs = undefined
      return true
    }
    const sentBytes = sink.sentBytes()
    if (subscriber.progressMs === undefined || sentBytes > subscriber.sentBytes) {
      subscriber.progressMs = performance.now()
      subscriber.sentBytes = sentBytes
    } else if (performance.now() - subscriber.progressMs > this.stuckMs) this.end(subscriber, 'stuck')
    return false
  }

  private unsentMax(): number {
    return Math.min(LIVE_UNSENT_BYTES_MAX, LIVE_UNSENT_TOTAL_BYTES_MAX / this.subscribers.size)
  }

  private beat(): void {
    const nowMs = this.now()
    for (const subscriber of [...this.subscribers]) {
      const { sink } = subscriber
      if (sink.expiresMs !== undefined && sink.expiresMs <= nowMs) this.end(subscriber, 'expired')
      else if (this.isReady(subscriber)) sink.beat()
    }
  }
}

class Subscriber {
  readonly sink: LiveSink
  /** The watched keys, each with the version that was sent last. */
  readonly sent = new Map<Watched, number>()
  readonly dirty = new Set<Watched>()
  /** While its socket holds too much: when bytes were last seen to leave it, and how many had left it then. */
  progressMs: number | undefined = undefined
  sentBytes = 0

  constructor(sink: LiveSink) {
    this.sink = sink
  }
}

function frameOf({ reading, frames }: Fresh, format: LiveFormat): Buffer {
  let frame = frames.get(format)
  if (frame === undefined) {
    frame = format(reading)
    frames.set(format, frame)
  }
  return frame
}

function tooMany(expected: string): TallyError {
  return new TallyError('too_many_subscribers', 'No further live subscriber can be served', {
    expected: `at most ${expected}`,
    retryAfterS: 10,
  })
}
