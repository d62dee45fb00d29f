import { DAY_MS, HOUR_MS, MINUTE_MS } from '../core/limits.ts'
import type { Bucket } from '../core/reading.ts'
import type { Resolution, Span } from '../store/store.ts'

/**
 * The fewest stored buckets that make up the windows between these edges (whole minutes, ascending): whole
 * UTC days where a window holds one, hours around them, minutes at the rims. No bucket crosses an edge, so
 * a year by UTC days is one span of days, by Berlin's days one span of hours, by Kathmandu's days hours
 * with an hour of minutes at each midnight.
 */
export function spansOf(edgesMs: readonly number[]): Span[] {
  const spans = new SpanList()
  for (let index = 0; index + 1 < edgesMs.length; index++) {
    const fromMs = edgesMs[index] ?? 0
    const toMs = edgesMs[index + 1] ?? fromMs
    addWindow(spans, fromMs, toMs)
  }
  return spans.list
}

function addWindow(spans: SpanList, fromMs: number, toMs: number): void {
  const hoursFrom = roundUp(fromMs, HOUR_MS)
  const hoursTo = roundDown(toMs, HOUR_MS)
  if (hoursFrom >= hoursTo) {
    spans.add('minute', fromMs, toMs)
    return
  }
  spans.add('minute', fromMs, hoursFrom)
  const daysFrom = roundUp(hoursFrom, DAY_MS)
  const daysTo = roundDown(hoursTo, DAY_MS)
  if (daysFrom >= daysTo) spans.add('hour', hoursFrom, hoursTo)
  else {
    spans.add('hour', hoursFrom, daysFrom)
    spans.add('day', daysFrom, daysTo)
    spans.add('hour', daysTo, hoursTo)
  }
  spans.add('minute', hoursTo, toMs)
}

/** Takes spans that follow on each other, and joins those that are read alike. */
class SpanList {
  readonly list: Span[] = []

  add(resolution: Resolution, fromMs: number, toMs: number): void {
    if (fromMs >= toMs) return
    const last = this.list.at(-1)
    if (last?.resolution === resolution) {
      this.list[this.list.length - 1] = { resolution, fromMs: last.fromMs, toMs }
    } else this.list.push({ resolution, fromMs, toMs })
  }
}

/** Sums ascending buckets, none of which crosses an edge, into one count for each window. */
export function sumIntoWindows(buckets: readonly Bucket[], edgesMs: readonly number[]): number[] {
  const counts: number[] = new Array(Math.max(0, edgesMs.length - 1)).fill(0)
  let window = 0
  for (const { startMs, count } of buckets) {
    while (window + 1 < counts.length && startMs >= (edgesMs[window + 1] ?? 0)) window++
    counts[window] = (counts[window] ?? 0) + count
  }
  return counts
}

/** `fromMs` and `toMs` moved outwards to whole minutes, the finest thing that is stored. */
export function wholeMinutes(fromMs: number, toMs: number): { fromMs: number; toMs: number } {
  return { fromMs: roundDown(fromMs, MINUTE_MS), toMs: roundUp(toMs, MINUTE_MS) }
}

function roundDown(ms: number, stepMs: number): number {
  return Math.floor(ms / stepMs) * stepMs
}

function roundUp(ms: number, stepMs: number): number {
  return Math.ceil(ms / stepMs) * stepMs
}
