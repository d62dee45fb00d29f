import { DAY_MS, MINUTE_MS } from './limits.ts'

/** From `startMs` on, and until the next period starts, clocks were this far ahead of UTC. */
export interface OffsetPeriod {
  readonly startMs: number
  readonly offsetMinutes: number
}

/** What clocks show somewhere, in whole minutes. */
export interface TimeZone {
  /**
   * The periods that cover the range, ascending. The first starts at `fromMs` or earlier, which need not be
   * an instant at which a clock was changed; every later one starts at such an instant, a whole UTC minute.
   */
  periods(fromMs: number, toMs: number): OffsetPeriod[]
}

/** The zone without changes that the store's own buckets keep. */
export const UTC: TimeZone = fixedZone(0)

const ZONE_NAME_CHARS_MAX = 64
/** An Intl.DateTimeFormat weighs tens of kilobytes, so not every zone that was ever asked for is kept. */
const ZONES_CACHED_MAX = 64
/** In the tz database no two changes of one zone after 1900 are less than 6.9 days apart. */
const SAMPLE_MS = 5 * DAY_MS
const BLOCK_MS = 73 * SAMPLE_MS
const BLOCKS_CACHED_MAX = 128

const zones = new Map<string, TimeZone>()

/**
 * The zone of an IANA name (`Europe/Berlin`, in any case) or of a fixed offset (`+05:30`), or undefined if
 * there is none; the tz database is the one of the running Node. Offsets with seconds, as local mean times
 * had them (Africa/Monrovia until 1972), are floored to the minute, since RFC 3339 can't write them and
 * minutes are the finest thing that is stored.
 */
export function timeZone(name: string): TimeZone | undefined {
  if (name === 'UTC') return UTC
  if (name.length > ZONE_NAME_CHARS_MAX) return undefined
  const id = name.toLowerCase()
  let zone = zones.get(id)
  if (zone === undefined) {
    zone = openZone(name)
    if (zone === undefined) return undefined
    const oldest = zones.keys().next()
    if (zones.size >= ZONES_CACHED_MAX && !oldest.done) zones.delete(oldest.value)
    zones.set(id, zone)
  }
  return zone
}

function fixedZone(offsetMinutes: number): TimeZone {
  return { periods: (fromMs) => [{ startMs: fromMs, offsetMinutes }] }
}

function openZone(name: string): TimeZone | undefined {
  let format: Intl.DateTimeFormat
  try {
    format = new Intl.DateTimeFormat('en-US', { timeZone: name, timeZoneName: 'longOffset' })
  } catch {
    return undefined
  }
  const blocks = new Map<number, OffsetPeriod[]>()
  return {
    periods(fromMs, toMs) {
      const found: OffsetPeriod[] = []
      for (let block = Math.floor(fromMs / BLOCK_MS); block * BLOCK_MS <= toMs; block++) {
        let periods = blocks.get(block)
        if (periods === undefined) {
          periods = readBlock(format, block * BLOCK_MS)
          if (blocks.size >= BLOCKS_CACHED_MAX) blocks.clear()
          blocks.set(block, periods)
        }
        for (const period of periods) {
          const isNew = period.offsetMinutes !== found.at(-1)?.offsetMinutes
          if (isNew && (period.startMs <= toMs || found.length === 0)) found.push(period)
        }
      }
      return found
    },
  }
}

/** The periods of one block; the first starts with it. */
function readBlock(format: Intl.DateTimeFormat, startMs: number): OffsetPeriod[] {
  let last: OffsetPeriod = { startMs, offsetMinutes: readOffset(format, startMs) }
  const periods = [last]
  for (let sampleMs = startMs + SAMPLE_MS; sampleMs <= startMs + BLOCK_MS; sampleMs += SAMPLE_MS) {
    const offsetMinutes = readOffset(format, sampleMs)
    while (last.offsetMinutes !== offsetMinutes) {
      const changeMs = findChange(format, Math.max(last.startMs, sampleMs - SAMPLE_MS), sampleMs)
      last = { startMs: changeMs, offsetMinutes: readOffset(format, changeMs) }
      periods.push(last)
    }
  }
  return periods
}

/** The first whole minute after `beforeMs` with another offset; there is one until `afterMs`. */
function findChange(format: Intl.DateTimeFormat, beforeMs: number, afterMs: number): number {
  const offsetMinutes = readOffset(format, beforeMs)
  let low = beforeMs / MINUTE_MS
  let high = afterMs / MINUTE_MS
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    if (readOffset(format, middle * MINUTE_MS) === offsetMinutes) low = middle
    else high = middle
  }
  return high * MINUTE_MS
}

/** Reads `…, GMT+05:45` or `…, GMT-00:44:30`: how Intl tells an offset (ECMA-402, `longOffset`). */
function readOffset(format: Intl.DateTimeFormat, ms: number): number {
  const text = format.format(ms)
  const sign = text.indexOf('GMT') + 3
  if (sign === text.length) return 0
  const minutes = Number(text.slice(sign + 1, sign + 3)) * 60 + Number(text.slice(sign + 4, sign + 6))
  if (text.charCodeAt(sign) === 43) return minutes
  // Flooring a negative offset with seconds goes one minute further from zero.
  return Number(text.slice(sign + 7) || 0) > 0 ? -minutes - 1 : -minutes
}
