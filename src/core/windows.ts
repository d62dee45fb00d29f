import { DAY_MS, HOUR_MS, MINUTE_MS } from './limits.ts'
import type { TimeRange } from './reading.ts'
import type { OffsetPeriod, TimeZone } from './time-zone.ts'

export type WindowWidth = 'minute' | 'hour' | 'day'

export const WINDOW_WIDTHS: readonly WindowWidth[] = ['minute', 'hour', 'day']

/**
 * Windows without gaps: window `i` goes from `edgesMs[i]` to before `edgesMs[i + 1]`, so there is one edge
 * more than there are windows. `offsets[i]` is the zone's offset, in minutes, at edge `i`.
 */
export interface Windows {
  readonly edgesMs: readonly number[]
  readonly offsets: readonly number[]
}

export const WIDTH_MS = { minute: MINUTE_MS, hour: HOUR_MS, day: DAY_MS } as const satisfies Record<
  WindowWidth,
  number
>

/** More than any clock was ever moved. */
const MARGIN_MS = 3 * DAY_MS

/**
 * The windows of a zone that cover a range, the outer ones whole; undefined if they are more than `max`.
 *
 * - A minute is a minute of UTC.
 * - An hour ends where the local clock shows a full hour and where it is changed, so that the hour that is
 *   lived twice in autumn is two windows, and a change by half an hour makes one of 30 minutes.
 * - A day starts at the first instant of its date, as in Temporal's startOfDay: it has 23 or 25 hours where
 *   the clock is changed. A date that a zone left out (Pacific/Apia, 2011-12-30) has no window.
 */
export function windowsOf(
  range: TimeRange,
  zone: TimeZone,
  options: { width: WindowWidth; max: number },
): Windows | undefined {
  const { width, max } = options
  // Before any loop: even days of 25 hours are never twice as long as days of 24.
  if ((range.toMs - range.fromMs) / WIDTH_MS[width] > max * 2) return undefined
  const edges = new Edges(range)
  const fromMs = range.fromMs - MARGIN_MS
  const periods = zone.periods(fromMs, range.toMs + MARGIN_MS)
  if (width === 'day') addDays(edges, periods, fromMs)
  else addAligned(edges, periods, { fromMs: range.fromMs - 2 * WIDTH_MS[width], widthMs: WIDTH_MS[width] })
  return edges.edgesMs.length - 1 > max ? undefined : edges
}

/** Gathers ascending edges, from the last one at or before the range to the first at or after its end. */
class Edges implements Windows {
  readonly edgesMs: number[] = []
  readonly offsets: number[] = []
  private readonly range: TimeRange

  constructor(range: TimeRange) {
    this.range = range
  }

  /** False once the range is covered. */
  add(edgeMs: number, offsetMinutes: number): boolean {
    const last = this.edgesMs.length - 1
    if (edgeMs === this.edgesMs[last]) return true
    if (edgeMs <= this.range.fromMs && last === 0) {
      this.edgesMs.pop()
      this.offsets.pop()
    }
    this.edgesMs.push(edgeMs)
    this.offsets.push(offsetMinutes)
    return edgeMs < this.range.toMs
  }
}

function addAligned(
  edges: Edges,
  periods: readonly OffsetPeriod[],
  options: { fromMs: number; widthMs: number },
): void {
  const { fromMs, widthMs } = options
  for (const [index, { startMs, offsetMinutes }] of periods.entries()) {
    const endMs = periods[index + 1]?.startMs ?? Number.POSITIVE_INFINITY
    if (endMs <= fromMs) continue
    // Minutes are cut by no change, since changes happen at whole minutes.
    if (startMs > fromMs && !edges.add(startMs, offsetMinutes)) return
    const offsetMs = offsetMinutes * MINUTE_MS
    const localMs = Math.max(startMs, fromMs) + offsetMs
    for (let at = Math.ceil(localMs / widthMs) * widthMs - offsetMs; at < endMs; at += widthMs) {
      if (!edges.add(at, offsetMinutes)) return
    }
  }
}

function addDays(edges: Edges, periods: readonly OffsetPeriod[], fromMs: number): void {
  let date: number | undefined
  for (const [index, { startMs, offsetMinutes }] of periods.entries()) {
    const endMs = periods[index + 1]?.startMs ?? Number.POSITIVE_INFINITY
    const offsetMs = offsetMinutes * MINUTE_MS
    date ??= Math.ceil((Math.max(startMs, fromMs) + offsetMs) / DAY_MS)
    for (;;) {
      // The first instant of this period at which the date is this one or a later one.
      const at = Math.max(startMs, date * DAY_MS - offsetMs)
      if (at >= endMs) break
      if (!edges.add(at, offsetMinutes)) return
      date++
    }
  }
}
