import { randomUUID, randomUUIDv7 } from 'node:crypto'
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import type { CountEvent, Outcome, Submission } from '../../src/core/batch.ts'
import { HOUR_MS, MINUTE_MS } from '../../src/core/limits.ts'
import type { TimeRange } from '../../src/core/reading.ts'
import type { OpenStore, Resolution, Span } from '../../src/store/store.ts'

/** What the suite needs to know of a driver. */
export interface StoreUnderTest {
  /** Opens a store of its own for this test, new and empty. */
  open(options?: {
    seenRetentionMs?: number
    minuteRetentionMs?: number
    now?: () => number
  }): Promise<OpenStore>
  /** Closes it in an orderly way and opens the same again. */
  reopen(store: OpenStore): Promise<OpenStore>
  /** Leaves it as a crash would and opens what was left. */
  crash(store: OpenStore): Promise<OpenStore>
  /** Waits until everything behind the acknowledgements is done. */
  settle(store: OpenStore): Promise<void>
  cleanUp(): Promise<void>
}

const DAY_MS = 24 * HOUR_MS
const NOON_MS = Date.UTC(2026, 10, 21, 12)

export function event(key: string, options: Partial<CountEvent> = {}): CountEvent {
  return { counter: 'clicks', key, delta: 1, timeMs: NOON_MS, id: undefined, ...options }
}

function batch(...submissions: (Submission | CountEvent[])[]) {
  return {
    stream: 'events',
    rejected: 0,
    submissions: submissions.map((one) => (Array.isArray(one) ? { events: one } : one)),
  }
}

async function currentValue(opened: OpenStore, key: string, counter = 'clicks'): Promise<number | undefined> {
  const page = await opened.store.readings(counter, { keys: [key] })
  return page.readings[0]?.value
}

function span(resolution: Resolution, range: TimeRange): Span {
  return { resolution, ...range }
}

async function sums(opened: OpenStore, key: string, range: TimeRange): Promise<number[]> {
  const resolutions: Resolution[] = ['minute', 'hour', 'day']
  const all = await Promise.all(
    resolutions.map((resolution) => opened.store.series('clicks', key, [span(resolution, range)])),
  )
  return all.map((buckets) => buckets.reduce((sum, bucket) => sum + bucket.count, 0))
}

/** Every driver of the store's port passes this suite, on the real thing. */
export function storeContract(name: string, driver: StoreUnderTest): void {
  describe(`store contract: ${name}`, () => {
    afterEach(() => driver.cleanUp())
    counting(driver)
    durability(driver)
    reading(driver)
    retention(driver)
  })
}

function counting(driver: StoreUnderTest): void {
  it('a batch changes values, and tells what became of each submission', async () => {
    const opened = await driver.open()
    const id = randomUUIDv7()
    const applied = await opened.store.apply(
      batch([event('a', { id }), event('a', { delta: 5 }), event('b', { delta: -3 })], [event('a', { id })]),
    )
    expect(applied.outcomes).toEqual([
      { kind: 'counted', received: 3, counted: 3, duplicate: 0 },
      { kind: 'counted', received: 1, counted: 0, duplicate: 1 },
    ])
    expect(applied.changed).toEqual([
      { counter: 'clicks', key: 'a' },
      { counter: 'clicks', key: 'b' },
    ])
    expect(await currentValue(opened, 'a')).toBe(6)
    expect(await currentValue(opened, 'b')).toBe(-3)
    expect(await currentValue(opened, 'never counted')).toBe(0)
  })

  it('an id counts once for a counter: within a batch, across batches, in any kind of id', async () => {
    const opened = await driver.open()
    const upper = randomUUIDv7()
    for (const id of [randomUUIDv7(), randomUUID(), 'order 7', 'x'.repeat(256), '🦉']) {
      await opened.store.apply(batch([event('k', { id }), event('k', { id })]))
      await opened.store.apply(batch([event('other key', { id })]))
      await opened.store.apply(batch([event('k', { id, counter: 'views' })]))
    }
    await opened.store.apply(batch([event('u', { id: upper })], [event('u', { id: upper.toUpperCase() })]))
    expect(await currentValue(opened, 'k')).toBe(5)
    expect(await currentValue(opened, 'other key')).toBe(0)
    expect(await currentValue(opened, 'k', 'views')).toBe(5)
    expect(await currentValue(opened, 'u')).toBe(1)
  })

  it('ids from the far future or past neither count twice nor hide others', async () => {
    const opened = await driver.open()
    const ids = [
      'ffffffff-ffff-7fff-bfff-ffffffffffff',
      '00000000-0000-7000-8000-000000000000',
      randomUUIDv7(),
    ]
    for (let round = 0; round < 3; round++) {
      for (const id of ids) await opened.store.apply(batch([event('k', { id })]))
      const fresh = randomUUIDv7()
      await opened.store.apply(batch([event('fresh', { id: fresh }), event('fresh', { id: fresh })]))
      await driver.settle(opened)
    }
    expect(await currentValue(opened, 'k')).toBe(3)
    expect(await currentValue(opened, 'fresh')).toBe(3)
  })

  it('the same Idempotency-Key gives the stored answer, with another request a mismatch', async () => {
    let opened = await driver.open()
    const events = [event('a', { delta: 2 }), event('b')]
    const first = await opened.store.apply(batch({ events, idempotency: { key: 'k1', fingerprint: 'f' } }))
    const replayed: Outcome = {
      kind: 'replayed',
      received: 2,
      counted: 2,
      duplicate: 0,
      position: first.position,
    }
    const again = () => opened.store.apply(batch({ events, idempotency: { key: 'k1', fingerprint: 'f' } }))
    const other = () => opened.store.apply(batch({ events, idempotency: { key: 'k1', fingerprint: 'g' } }))
    expect((await again()).outcomes).toEqual([replayed])
    expect((await other()).outcomes).toEqual([{ kind: 'mismatch' }])
    await driver.settle(opened)
    expect((await again()).outcomes).toEqual([replayed])
    opened = await driver.crash(opened)
    expect((await again()).outcomes).toEqual([replayed])
    expect((await other()).outcomes).toEqual([{ kind: 'mismatch' }])
    expect(await currentValue(opened, 'a')).toBe(2)
  })

  it('a submission that would leave the exact range is refused whole, its neighbours are counted', async () => {
    const opened = await driver.open()
    const id = randomUUIDv7()
    const huge = Number.MAX_SAFE_INTEGER - 1
    await opened.store.apply(batch([event('full', { delta: huge })]))
    const applied = await opened.store.apply(
      batch(
        [event('x')],
        [event('x'), event('y', { id }), event('full', { delta: 1 }), event('full')],
        [event('x')],
      ),
    )
    expect(applied.outcomes.map((outcome) => outcome.kind)).toEqual(['counted', 'out-of-range', 'counted'])
    expect(applied.outcomes[1]).toEqual({ kind: 'out-of-range', index: 3 })
    expect(await currentValue(opened, 'x')).toBe(2)
    expect(await currentValue(opened, 'y')).toBe(0)
    expect(await currentValue(opened, 'full')).toBe(huge)
    const retried = await opened.store.apply(batch([event('y', { id })]))
    expect(retried.outcomes).toEqual([{ kind: 'counted', received: 1, counted: 1, duplicate: 0 }])
  })

  it('the result does not depend on the order of batches (L4)', async () => {
    const events = Array.from({ length: 60 }, (_, index) =>
      event(`k${index % 7}`, {
        delta: (index % 5) - 2,
        timeMs: NOON_MS + (index % 11) * MINUTE_MS,
        id: `e${index}`,
      }),
    )
    const range = { fromMs: NOON_MS - DAY_MS / 2, toMs: NOON_MS + DAY_MS / 2 }
    const states: unknown[] = []
    for (const order of [events, events.toReversed(), [...events.slice(30), ...events.slice(0, 30)]]) {
      const opened = await driver.open()
      for (let at = 0; at < order.length; at += 13) await opened.store.apply(batch(order.slice(at, at + 20)))
      const page = await opened.store.readings('clicks', { after: undefined, limit: 100 })
      const minutes = await opened.store.series('clicks', 'k3', [span('minute', range)])
      states.push([page.readings.map(({ key, value }) => [key, value]), minutes])
    }
    expect(states[1]).toEqual(states[0])
    expect(states[2]).toEqual(states[0])
  })
}

function durability(driver: StoreUnderTest): void {
  it('whatever was applied is there after a crash, once, however far it was folded (L1, L3)', async () => {
    let opened = await driver.open()
    const truth = new Map<string, number>()
    const sent: CountEvent[] = []
    for (let round = 0; round < 8; round++) {
      for (let commit = 0; commit < 5; commit++) {
        const events = Array.from({ length: 40 }, () =>
          event(`k${Math.floor(Math.random() * 900)}`, {
            id: commit % 2 === 0 ? randomUUIDv7() : randomUUID(),
          }),
        )
        await opened.store.apply(batch(events))
        for (const one of events) truth.set(one.key, (truth.get(one.key) ?? 0) + 1)
        sent.push(...events)
      }
      if (round % 3 === 1) await driver.settle(opened)
      opened = round % 2 === 0 ? await driver.crash(opened) : await driver.reopen(opened)
    }
    const again = await opened.store.apply(batch(sent))
    expect(again.outcomes[0]).toMatchObject({ counted: 0, duplicate: sent.length })
    for (const [key, value] of truth) expect(await currentValue(opened, key)).toBe(value)
    expect(await opened.upkeep.check()).toEqual([])
    const [line] = await opened.store.ledger()
    expect(line).toMatchObject({ received: 2 * sent.length, counted: sent.length, duplicate: sent.length })
  })

  it('positions order batches, survive a restart, and those of another store are unknown', async () => {
    let opened = await driver.open()
    const before = opened.store.positions.current()
    const { position } = await opened.store.apply(batch([event('a')]))
    expect(opened.store.positions.reached(before)).toBe(true)
    expect(opened.store.positions.reached(position)).toBe(true)
    opened = await driver.crash(opened)
    expect(opened.store.positions.reached(position)).toBe(true)
    const other = await driver.open()
    expect(() => other.store.positions.reached(position)).toThrow(/not issued by this store/)
    for (const text of ['', 'x', '1', `${position}x`, '-1']) {
      expect(() => opened.store.positions.reached(text)).toThrow(/not issued/)
    }
  })

  it('API keys are kept, listed and revoked', async () => {
    let opened = await driver.open()
    const key = { id: 'k1', name: 'ci', scopes: ['write', 'read'], hash: 'ab', createdMs: 5 }
    await opened.keys.add(key)
    opened = await driver.crash(opened)
    expect(await opened.keys.list()).toEqual([key])
    expect(await opened.keys.revoke('k1')).toBe(true)
    expect(await opened.keys.revoke('k1')).toBe(false)
    expect(await opened.keys.list()).toEqual([])
  })
}

function reading(driver: StoreUnderTest): void {
  it('versions grow with each change of a key and with nothing else', async () => {
    const opened = await driver.open()
    const version = async () =>
      (await opened.store.readings('clicks', { keys: ['a'] })).readings[0]?.version ?? -1
    expect(await version()).toBe(0)
    await opened.store.apply(batch([event('a')]))
    const first = await version()
    await opened.store.apply(batch([event('b')]))
    expect(await version()).toBe(first)
    await opened.store.apply(batch([event('a')]))
    expect(await version()).toBeGreaterThan(first)
  })

  it('pages go through all keys once, by code point, folded or not', async () => {
    const opened = await driver.open()
    const keys = ['é', 'z', 'a', '🦉', '\uffee', 'A', 'a b', '1', '10', '2', '\ud7ff']
    await opened.store.apply(batch(keys.slice(0, 6).map((key) => event(key))))
    await driver.settle(opened)
    await opened.store.apply(batch(keys.slice(5).map((key) => event(key))))
    const seen: string[] = []
    let after: string | undefined
    do {
      const page = await opened.store.readings('clicks', { after, limit: 3 })
      seen.push(...page.readings.map((one) => one.key))
      after = page.nextAfter
    } while (after !== undefined)
    expect(seen).toEqual(
      keys.toSorted((left, right) => Buffer.compare(Buffer.from(left), Buffer.from(right))),
    )
    const values = await opened.store.readings('clicks', { keys: ['A', 'z'] })
    expect(values.readings.map((one) => one.value)).toEqual([2, 1])
  })

  it('minutes, hours and days of a key tell the same sum, folded or not', async () => {
    const opened = await driver.open()
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 3 * 1440 }), fc.integer({ min: -5, max: 9 })), {
          maxLength: 40,
        }),
        fc.boolean(),
        async (deltas, settled) => {
          const key = randomUUID()
          const startMs = NOON_MS - DAY_MS / 2
          await opened.store.apply(
            batch(
              deltas.map(([minute, delta]) =>
                event(key, { delta, timeMs: startMs + minute * MINUTE_MS + 17 }),
              ),
            ),
          )
          if (settled) await driver.settle(opened)
          const total = deltas.reduce((sum, [, delta]) => sum + delta, 0)
          const range = { fromMs: startMs, toMs: startMs + 4 * DAY_MS }
          expect(await sums(opened, key, range)).toEqual([total, total, total])
          expect(await currentValue(opened, key)).toBe(total)
        },
      ),
      { numRuns: 15 },
    )
  })

  it('a series keeps to its spans', async () => {
    const opened = await driver.open()
    const at = (minute: number) => event('s', { timeMs: NOON_MS + minute * MINUTE_MS })
    await opened.store.apply(batch([at(-1), at(0), at(0), at(59), at(60), at(119), at(120)]))
    const check = async () => {
      const spans = [
        span('minute', { fromMs: NOON_MS, toMs: NOON_MS + MINUTE_MS }),
        span('hour', { fromMs: NOON_MS + HOUR_MS, toMs: NOON_MS + 2 * HOUR_MS }),
      ]
      expect(await opened.store.series('clicks', 's', spans)).toEqual([
        { startMs: NOON_MS, count: 2 },
        { startMs: NOON_MS + HOUR_MS, count: 2 },
      ])
    }
    await check()
    await driver.settle(opened)
    await check()
  })

  it('a counter without a series keeps values only', async () => {
    const opened = await driver.open()
    await opened.store.apply(batch([event('a', { counter: 'plain' })]))
    await driver.settle(opened)
    const range = { fromMs: NOON_MS - DAY_MS / 2, toMs: NOON_MS + DAY_MS / 2 }
    expect(await opened.store.series('plain', 'a', [span('day', range)])).toEqual([])
    expect(await currentValue(opened, 'a', 'plain')).toBe(1)
    expect(await opened.upkeep.check()).toEqual([])
  })

  it('the top keys are the highest of all time or of a range, ties by key, folded or not', async () => {
    const opened = await driver.open()
    const early = NOON_MS - 2 * DAY_MS
    await opened.store.apply(
      batch([event('a', { delta: 9, timeMs: early }), event('b', { delta: 5 }), event('c', { delta: 5 })]),
    )
    await driver.settle(opened)
    await opened.store.apply(
      batch([event('d', { delta: 7 }), event('c', { delta: 1 }), event('e', { delta: 5 })]),
    )
    const today = [span('day', { fromMs: NOON_MS - DAY_MS / 2, toMs: NOON_MS + DAY_MS / 2 })]
    const check = async () => {
      expect(await opened.store.top('clicks', { limit: 3 })).toEqual([
        { key: 'a', value: 9 },
        { key: 'd', value: 7 },
        { key: 'c', value: 6 },
      ])
      expect(await opened.store.top('clicks', { limit: 4, spans: today })).toEqual([
        { key: 'd', value: 7 },
        { key: 'c', value: 6 },
        { key: 'b', value: 5 },
        { key: 'e', value: 5 },
      ])
    }
    await check()
    await driver.settle(opened)
    await check()
    expect(await opened.store.top('never', { limit: 3 })).toEqual([])
  })

  it('readings taken while batches are applied are never torn or behind', async () => {
    const opened = await driver.open()
    const range = { fromMs: NOON_MS - DAY_MS / 2, toMs: NOON_MS + DAY_MS / 2 }
    let applied = 0
    let isRunning = true
    const writing = (async () => {
      for (let round = 0; round < 400; round++) {
        await opened.store.apply(batch([event('hot', { id: randomUUIDv7() }), event(`cold${round}`)]))
        applied++
      }
      isRunning = false
    })()
    while (isRunning) {
      const before = applied
      const total = (await sums(opened, 'hot', range))[2] ?? 0
      expect(total).toBeGreaterThanOrEqual(before)
      expect(total).toBeLessThanOrEqual(applied + 1)
    }
    await writing
    expect(await sums(opened, 'hot', range)).toEqual([400, 400, 400])
  })
}

function retention(driver: StoreUnderTest): void {
  it('an id is remembered for its retention and may be forgotten after it', async () => {
    let nowMs = NOON_MS
    const opened = await driver.open({ seenRetentionMs: HOUR_MS, now: () => nowMs })
    const send = () => opened.store.apply(batch([event('k', { id: 'once' })]))
    await send()
    await driver.settle(opened)
    nowMs += HOUR_MS - 1_000
    await opened.upkeep.purge(nowMs)
    expect((await send()).outcomes[0]).toMatchObject({ duplicate: 1 })
    nowMs += 5_000
    expect(await opened.upkeep.purge(nowMs)).toBeGreaterThan(0)
    expect((await send()).outcomes[0]).toMatchObject({ counted: 1 })
  })

  it('minutes past their retention are refused by name, their hours and days stay', async () => {
    const opened = await driver.open({ minuteRetentionMs: DAY_MS })
    const oldMs = NOON_MS - 3 * DAY_MS
    await opened.store.apply(batch([event('k', { timeMs: oldMs }), event('k')]))
    await driver.settle(opened)
    await opened.upkeep.purge(NOON_MS)
    const range = { fromMs: NOON_MS - 3 * DAY_MS - DAY_MS / 2, toMs: NOON_MS + DAY_MS / 2 }
    await expect(opened.store.series('clicks', 'k', [span('minute', range)])).rejects.toMatchObject({
      code: 'resolution_expired',
    })
    await opened.store.apply(batch([event('k', { timeMs: oldMs })]))
    await driver.settle(opened)
    const days = await opened.store.series('clicks', 'k', [span('day', range)])
    expect(days.map((bucket) => bucket.count)).toEqual([2, 1])
    expect(await opened.upkeep.check()).toEqual([])
  })
}
