import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { diskDir, type Server, startTally, untilQuiet } from './processes.ts'
import { median, milliseconds, type RowResult } from './report.ts'
import { calmest, measure, type Pace } from './rounds.ts'

const MINUTE_MS = 60_000
const DAY_MS = 24 * 60 * MINUTE_MS
const YEAR_DAYS = 365
const YEAR_MINUTES = YEAR_DAYS * 24 * 60
const EVENTS_PER_REQUEST = 10_000
const SENDERS = 4
/** A store built this long ago is built again, before its first minutes reach their retention. */
const AGE_MS_MAX = 14 * DAY_MS

/** A store with one event in each minute of a year, for each of its keys. */
interface YearStore {
  readonly file: string
  readonly fromMs: number
  readonly keys: number
  readonly rows: number
}

/**
 * A year by days of one key, to one value, in a store with a row for each minute of `keys` years. The store is
 * built through the service's own intake and kept for the next run.
 */
export async function compareYear(keys: number, pace: Pace): Promise<RowResult> {
  const { store, buildSeconds } = await yearStore(keys)
  const tally = await startTally(store.file)
  try {
    await expectWhole(tally, store)
    const latencyUs = async (path: string) => {
      const plan = { connections: 1, warmupMs: pace.roundMs / 5, durationMs: pace.roundMs }
      const { load: result, others } = await measure(tally, { ...plan, shape: { kind: 'get', path } })
      return { us: result.latencyUs.mean, others }
    }
    const { rounds, disturbed } = await calmest(pace, async () => {
      const value = await latencyUs('/v1/counters/clicks/000')
      const days = await latencyUs(seriesPath(store, 'UTC'))
      const berlin = await latencyUs(seriesPath(store, 'Europe/Berlin'))
      const others = Math.max(value.others, days.others, berlin.others)
      return { value: value.us, days: days.us, berlin: berlin.us, others }
    })
    const berlinRatio = median(rounds.map((round) => round.berlin / round.value))
    return {
      row: 'year',
      title: 'a year by days of one key in a store of 10,000,000 minute rows, to reading one value',
      reference: milliseconds(median(rounds.map((round) => round.value))),
      tally: milliseconds(median(rounds.map((round) => round.days))),
      ratio: median(rounds.map((round) => round.days / round.value)),
      better: 'lower',
      required: 10,
      aim: 3,
      disturbed,
      notes: [
        `${store.rows.toLocaleString('en')} minute rows, ${buildSeconds === 0 ? 'kept from an earlier run' : `built in ${buildSeconds.toFixed(0)} s (${Math.round(store.rows / buildSeconds).toLocaleString('en')} events/s)`}`,
        `days of Europe/Berlin, which are no whole UTC days: ${berlinRatio.toFixed(2)} times one value`,
      ],
    }
  } finally {
    await tally.stop()
  }
}

function seriesPath(store: YearStore, timeZone: string): string {
  const query = new URLSearchParams({
    from: new Date(store.fromMs).toISOString(),
    to: new Date(store.fromMs + YEAR_DAYS * DAY_MS).toISOString(),
    window: 'day',
  })
  if (timeZone !== 'UTC') {
    query.set('tz', timeZone)
    // Whole days of the zone: one day less, and local midnights at both ends.
    query.set('from', localMidnight(store.fromMs + DAY_MS, timeZone))
    query.set('to', localMidnight(store.fromMs + (YEAR_DAYS - 1) * DAY_MS, timeZone))
  }
  return `/v1/counters/clicks/000/series?${query}`
}

/** The midnight of the zone next to a UTC midnight. */
function localMidnight(utcMidnightMs: number, timeZone: string): string {
  const name = new Intl.DateTimeFormat('en', { timeZone, timeZoneName: 'longOffset' })
    .formatToParts(utcMidnightMs)
    .find((part) => part.type === 'timeZoneName')?.value
  const offset = (name ?? '').replace('GMT', '') || 'Z'
  return `${new Date(utcMidnightMs).toISOString().slice(0, 19)}${offset}`
}

/** Answers what the builder sent, or throws: a figure from a store with holes would mean nothing. */
async function expectWhole(tally: Server, store: YearStore): Promise<void> {
  const base = `http://127.0.0.1:${tally.port}`
  const response = await fetch(base + seriesPath(store, 'UTC'))
  const text = await response.text()
  if (response.status !== 200)
    throw new Error(`the series answered ${response.status}: ${text.slice(0, 300)}`)
  const { buckets } = JSON.parse(text) as { buckets: { count: number }[] }
  const sum = buckets.reduce((total, bucket) => total + bucket.count, 0)
  if (buckets.length !== YEAR_DAYS || sum !== YEAR_MINUTES) {
    throw new Error(
      `the year has ${buckets.length} days and ${sum} events; remove ${store.file} to build it anew`,
    )
  }
}

async function yearStore(keys: number): Promise<{ store: YearStore; buildSeconds: number }> {
  const dir = path.join(diskDir(), `tally-bench-year-${keys}`)
  const about = path.join(dir, 'about.json')
  if (existsSync(about)) {
    const store = JSON.parse(readFileSync(about, 'utf8')) as YearStore
    if (Date.now() - store.fromMs - YEAR_DAYS * DAY_MS < AGE_MS_MAX) return { store, buildSeconds: 0 }
  }
  rmSync(dir, { recursive: true, force: true })
  mkdirSync(dir, { recursive: true })
  const fromMs = Math.floor(Date.now() / DAY_MS) * DAY_MS - YEAR_DAYS * DAY_MS
  const store = { file: path.join(dir, 'tally.db'), fromMs, keys, rows: keys * YEAR_MINUTES }
  const startMs = performance.now()
  const tally = await startTally(store.file)
  try {
    await fill(tally, store)
    await untilQuiet(tally.pid)
  } finally {
    await tally.stop()
  }
  writeFileSync(about, JSON.stringify(store))
  return { store, buildSeconds: (performance.now() - startMs) / 1000 }
}

/** Every minute in the order of time, for all keys, as it would have happened. */
async function fill(tally: Server, store: YearStore): Promise<void> {
  let sent = 0
  const sender = async () => {
    while (sent < store.rows) {
      const start = sent
      sent += EVENTS_PER_REQUEST
      const response = await fetch(`http://127.0.0.1:${tally.port}/v1/events`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: eventsFrom(start, store),
      })
      const text = await response.text()
      if (response.status !== 200) {
        throw new Error(`building the year: ${response.status} ${text.slice(0, 300)}`)
      }
    }
  }
  await Promise.all(Array.from({ length: SENDERS }, sender))
}

function eventsFrom(start: number, store: YearStore): string {
  const end = Math.min(start + EVENTS_PER_REQUEST, store.rows)
  const events: string[] = []
  let minute = -1
  let time = ''
  for (let index = start; index < end; index += 1) {
    const atMinute = Math.floor(index / store.keys)
    if (atMinute !== minute) {
      minute = atMinute
      time = new Date(store.fromMs + minute * MINUTE_MS).toISOString()
    }
    const key = String(index % store.keys).padStart(3, '0')
    events.push(`{"counter":"clicks","key":"${key}","time":"${time}"}`)
  }
  return `[${events.join(',')}]`
}
