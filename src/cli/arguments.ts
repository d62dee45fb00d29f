import { InvalidArgumentError } from 'commander'
import { MINUTE_MS } from '../core/limits.ts'
import type { TimeRange } from '../core/reading.ts'
import { parseInstant } from '../core/rfc3339.ts'
import { type TimeZone, timeZone } from '../core/time-zone.ts'
import { type WindowWidth, windowsOf } from '../core/windows.ts'
import { parseDurationMs } from '../settings/duration.ts'
import { CommandError, EXIT } from './exit.ts'

/** Reads a whole number from `min` to `max` of the command line. */
export function wholeNumberArgument(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
    if (value >= min && value <= max) return value
    throw new InvalidArgumentError(`Expected a whole number from ${min} to ${max}.`)
  }
}

/** Reads names with commas between them. */
export function listArgument(text: string): string[] {
  return text.split(',').map((part) => part.trim())
}

/** The zone of `--tz`; throws a usage error where there is none of this name. */
export function zoneArgument(name: string): TimeZone {
  const zone = timeZone(name)
  if (zone !== undefined) return zone
  throw new CommandError(
    EXIT.usage,
    `--tz: expected a time zone such as Europe/Berlin, UTC or +02:00, got ${name}`,
  )
}

/**
 * Reads a moment of the command line as milliseconds since the epoch: an instant of RFC 3339, a date (its
 * first moment in `zone`), `now`, or a duration such as `7d`, that long ago.
 */
export function momentArgument(flag: string, text: string, zone: TimeZone, nowMs: number): number {
  if (text === 'now') return nowMs
  const agoMs = parseDurationMs(text)
  if (agoMs !== undefined) return nowMs - agoMs
  const momentMs = /^\d{4}-\d\d-\d\d$/.test(text) ? startOfDate(text, zone) : parseInstant(text)
  if (momentMs !== undefined) return momentMs
  throw new CommandError(
    EXIT.usage,
    `${flag}: expected a moment such as 2026-11-21T04:00:00Z, 2026-11-21, 12h (ago) or now, got ${text}`,
  )
}

function startOfDate(date: string, zone: TimeZone): number | undefined {
  const noonMs = parseInstant(`${date}T12:00:00Z`)
  if (noonMs === undefined) return undefined
  const aroundMs = noonMs - offsetAt(noonMs, zone) * MINUTE_MS
  return windowsOf({ fromMs: aroundMs, toMs: aroundMs + 1 }, zone, { width: 'day', max: 3 })?.edgesMs[0]
}

/** How far clocks are ahead of UTC at a moment, minutes. */
export function offsetAt(momentMs: number, zone: TimeZone): number {
  return zone.periods(momentMs, momentMs).findLast(({ startMs }) => startMs <= momentMs)?.offsetMinutes ?? 0
}

/** The range of `--from` and `--to`; without them, what suits the width: an hour, a day or a month until now. */
export function rangeArguments(
  { from, to }: { from?: string | undefined; to?: string | undefined },
  options: { width: WindowWidth; zone: TimeZone; nowMs: number },
): TimeRange {
  const { width, zone, nowMs } = options
  const spans: Record<WindowWidth, string> = { minute: '1h', hour: '1d', day: '30d' }
  const toMs = momentArgument('--to', to ?? 'now', zone, nowMs)
  const fromMs = momentArgument('--from', from ?? spans[width], zone, from === undefined ? toMs : nowMs)
  if (fromMs < toMs) return { fromMs, toMs }
  throw new CommandError(EXIT.usage, '--from: expected a moment before that of --to')
}

/** The end of a command's help. */
export function examples(...lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  ${line}`).join('\n')}`
}
