import { afterEach, describe, expect, test } from 'vitest'
import { LIVE_KEYS_PER_SUBSCRIBER_MAX, LIVE_SUBSCRIBERS_MAX, LIVE_UNSENT_BYTES_MAX } from '../core/limits.ts'
import type { Position } from '../core/position.ts'
import type { ReadingPage } from '../core/reading.ts'
import { LiveHub, type LiveSink } from './live-hub.ts'

interface Seen {
  key: string
  value: number
  version: number
}

/** A counter in memory that notes what was asked of it. */
class Values {
  readonly values = new Map<string, number>()
  readonly asked: number[] = []
  /** Runs while a read is under way. */
  during: () => void = () => undefined

  async readings(counter: string, selection: { keys: readonly string[] } | object): Promise<ReadingPage> {
    const keys = 'keys' in selection ? selection.keys : []
    this.asked.push(keys.length)
    const readings = keys.map((key) => {
      const value = this.values.get(key) ?? 0
      return { counter, key, value, version: value, position: 'p' as Position, asOfMs: 0 }
    })
    await Promise.resolve()
    this.during()
    return { readings }
  }

  add(key: string): { counter: string; key: string } {
    this.values.set(key, (this.values.get(key) ?? 0) + 1)
    return { counter: 'clicks', key }
  }
}

/** A connection whose client reads only while `reads` is true. */
class Client implements LiveSink {
  readonly seen: Seen[] = []
  readonly ended: string[] = []
  readonly expiresMs: number | undefined
  beats = 0
  reads = true
  unsent = 0
  peak = 0
  sent = 0

  constructor(expiresMs?: number) {
    this.expiresMs = expiresMs
  }

  format = (reading: Seen) => Buffer.from(JSON.stringify(reading))
  unsentBytes = () => this.unsent
  sentBytes = () => this.sent
  write(frame: Buffer): void {
    this.seen.push(JSON.parse(frame.toString()) as Seen)
    if (this.reads) this.sent += frame.length
    else this.unsent += frame.length
    this.peak = Math.max(this.peak, this.unsent)
  }
  drain(): void {
    this.reads = true
    this.sent += this.unsent
    this.unsent = 0
  }
  beat(): void {
    this.beats++
  }
  end(why: string): void {
    this.ended.push(why)
  }
  last(key: string): number | undefined {
    return this.seen.findLast((reading) => reading.key === key)?.value
  }
}

const hubs: LiveHub[] = []
function hubOf(values: Values, options: { stuckMs?: number; pushIntervalMs?: number } = {}): LiveHub {
  const hub = new LiveHub(values, { now: () => 0, pushIntervalMs: 10, ...options })
  hubs.push(hub)
  return hub
}
afterEach(() => {
  for (const hub of hubs.splice(0)) hub.stop()
})

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

describe('LiveHub', () => {
  test('the first message of a key is its current value, also if it never counted', async () => {
    const values = new Values()
    values.add('a')
    const client = new Client()
    hubOf(values).subscribe(client).add('clicks', ['a', 'b'])
    await pause(30)
    expect(client.seen.map(({ key, value }) => [key, value])).toEqual([
      ['a', 1],
      ['b', 0],
    ])
  })

  test('a change that happens while a value is read is pushed afterwards', async () => {
    const values = new Values()
    const hub = hubOf(values)
    const client = new Client()
    let changes = 3
    values.during = () => {
      if (changes-- > 0) hub.changed([values.add('a')])
    }
    hub.subscribe(client).add('clicks', ['a'])
    await pause(120)
    expect(client.seen.map(({ value }) => value)).toEqual([0, 1, 2, 3])
  })

  test('changes are coalesced: many of them make few messages, and the last one is right', async () => {
    const values = new Values()
    const hub = hubOf(values, { pushIntervalMs: 50 })
    const client = new Client()
    hub.subscribe(client).add('clicks', ['a'])
    const endMs = performance.now() + 250
    let changes = 0
    while (performance.now() < endMs) {
      for (let index = 0; index < 100; index++) hub.changed([values.add('a')])
      changes += 100
      await pause(0)
    }
    await pause(80)
    expect(client.seen.length).toBeLessThanOrEqual(8)
    expect(client.last('a')).toBe(changes)
    for (const [index, { version }] of client.seen.entries()) {
      if (index > 0) expect(version).toBeGreaterThan(client.seen[index - 1]?.version ?? 0)
    }
  })

  test('a version is sent once', async () => {
    const values = new Values()
    const hub = hubOf(values)
    const client = new Client()
    hub.subscribe(client).add('clicks', ['a'])
    await pause(30)
    hub.changed([{ counter: 'clicks', key: 'a' }])
    await pause(30)
    expect(client.seen).toHaveLength(1)
  })

  test('one key watched by many is read once a turn', async () => {
    const values = new Values()
    const hub = hubOf(values)
    const clients = Array.from({ length: 200 }, () => new Client())
    for (const client of clients) hub.subscribe(client).add('clicks', ['a'])
    await pause(60)
    values.asked.length = 0
    hub.changed([values.add('a')])
    await pause(60)
    expect(clients.every((client) => client.last('a') === 1)).toBe(true)
    expect(values.asked.length).toBeLessThanOrEqual(3)
  })

  test('a client that does not read is held to a bound, and gets the newest values when it reads again', async () => {
    const values = new Values()
    const hub = hubOf(values, { pushIntervalMs: 1 })
    const slow = new Client()
    const quick = new Client()
    const keys = Array.from({ length: 500 }, (_, index) => `${index}-${'x'.repeat(240)}`)
    hub.subscribe(slow).add('clicks', keys)
    hub.subscribe(quick).add('clicks', [keys[0] ?? ''])
    await pause(30)
    slow.reads = false
    for (let round = 0; round < 50; round++) {
      hub.changed(keys.map((key) => values.add(key)))
      await pause(2)
    }
    await pause(20)
    expect(slow.peak).toBeLessThan(LIVE_UNSENT_BYTES_MAX + 1_000)
    expect(quick.last(keys[0] ?? '')).toBe(50)
    slow.drain()
    slow.seen.length = 0
    await pause(60)
    expect(keys.every((key) => slow.last(key) === 50)).toBe(true)
    expect(slow.seen).toHaveLength(keys.length)
  })

  test('a client whose socket takes nothing for too long is ended, one that reads slowly is not', async () => {
    const values = new Values()
    const hub = hubOf(values, { stuckMs: 100, pushIntervalMs: 5 })
    const stuck = new Client()
    const slow = new Client()
    for (const client of [stuck, slow]) {
      hub.subscribe(client).add('clicks', ['a'])
      client.unsent = LIVE_UNSENT_BYTES_MAX + 1
    }
    const dripping = setInterval(() => {
      slow.sent += 1
    }, 10)
    await pause(400)
    clearInterval(dripping)
    expect([stuck.ended, slow.ended]).toEqual([['stuck'], []])
    expect(hub.size.subscribers).toBe(1)
  })

  test('after unsubscribing nothing comes, and nothing is kept', async () => {
    const values = new Values()
    const hub = hubOf(values)
    const client = new Client()
    const subscription = hub.subscribe(client)
    subscription.add('clicks', ['a', 'b', 'b'])
    expect(hub.size).toEqual({ subscribers: 1, subscriptions: 2 })
    subscription.remove('clicks', ['a', 'never'])
    await pause(30)
    hub.changed([values.add('a')])
    await pause(30)
    expect(client.seen.map(({ key }) => key)).toEqual(['b'])
    subscription.end()
    subscription.end()
    expect(hub.size).toEqual({ subscribers: 0, subscriptions: 0 })
    values.asked.length = 0
    hub.changed([values.add('b')])
    await pause(30)
    expect(values.asked).toEqual([])
  })

  test('a value that could not be read is pushed when it can be again', async () => {
    const values = new Values()
    const hub = hubOf(values)
    const client = new Client()
    values.during = () => {
      throw new Error('not now')
    }
    hub.subscribe(client).add('clicks', ['a'])
    await pause(40)
    expect(client.seen).toEqual([])
    values.during = () => undefined
    await pause(40)
    expect(client.seen).toHaveLength(1)
  })

  test('connections and keys have their limits', () => {
    const hub = hubOf(new Values())
    const subscription = hub.subscribe(new Client())
    const keys = Array.from({ length: LIVE_KEYS_PER_SUBSCRIBER_MAX }, (_, index) => `k${index}`)
    subscription.add('clicks', keys)
    subscription.add('clicks', keys)
    expect(() => subscription.add('clicks', ['one more'])).toThrow(/too many keys/)
    expect(hub.size.subscriptions).toBe(LIVE_KEYS_PER_SUBSCRIBER_MAX)
    for (let index = 1; index < LIVE_SUBSCRIBERS_MAX; index++) hub.subscribe(new Client())
    expect(() => hub.subscribe(new Client())).toThrow(/No further/)
  })

  test('stopping ends every connection and takes no new one', async () => {
    const values = new Values()
    const hub = hubOf(values)
    const client = new Client()
    hub.subscribe(client).add('clicks', ['a'])
    hub.stop()
    await pause(30)
    expect([client.ended, client.seen]).toEqual([['stopping'], []])
    expect(() => hub.subscribe(new Client())).toThrow(/stopping/)
  })
})
