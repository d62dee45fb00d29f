import { DAY_MS, MINUTE_MS } from '../../src/core/limits.ts'
import type { SeededRandom } from './seeded-random.ts'

/** How often each key was counted in each minute: `key` → minute since the epoch → count. */
export type Truth = Map<string, Map<number, number>>

export interface LogFile {
  readonly lines: string[]
  readonly truth: Truth
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
const START_MS = Date.UTC(2026, 2, 27, 20)

/** Adds one to a key's minute. */
export function note(truth: Truth, key: string, timeMs: number): void {
  const minutes = truth.get(key) ?? new Map<number, number>()
  truth.set(key, minutes)
  const minute = Math.floor(timeMs / MINUTE_MS)
  minutes.set(minute, (minutes.get(minute) ?? 0) + 1)
}

/**
 * A combined access log with the lines that real ones have: quotes that are escaped, sizes of `-`, requests
 * without a version, IPv6, users with spaces, agents that were cut, offsets, very long paths, and lines that
 * are equal. The truth comes from the generator, not from reading the lines.
 */
export function makeLog(count: number, random: SeededRandom): LogFile {
  const below = (limit: number): number => random.between(0, limit - 1)
  const paths = Array.from({ length: 200 }, (_, index) => pathOf(index))
  const truth: Truth = new Map()
  const lines: string[] = []
  while (lines.length < count) {
    const timeMs = START_MS + below((3 * DAY_MS) / 1000) * 1000
    const path = paths[Math.min(below(200), below(200), below(200))] ?? '/'
    const request = random.pick([
      `GET ${path} HTTP/1.1`,
      `HEAD ${path} HTTP/1.0`,
      `POST ${path} HTTP/2`,
      `GET ${path}`,
    ])
    const ip = random.pick(['83.149.9.216', '2001:db8::8a2e:370:7334', '::1', 'client.example.org'])
    const user = random.pick(['-', '-', 'frank', 'Frank Smith', 'a "b" c'])
    const agent = random.pick([
      '"Mozilla/5.0 (X11; Linux) \\"x\\" [en]"',
      '"-"',
      '"curl/8.0"',
      '"Mozilla/5.0 (compa',
    ])
    const tail = random.pick([` "-" ${agent}`, ` "http://e.org/?q=\\"a\\"" ${agent}`, ''])
    const line = `${ip} - ${user} [${clock(timeMs, random.pick([0, 120, -330]))}] "${request}" ${random.pick([200, 304, 404])} ${random.pick(['-', '0', '203023'])}${tail}`
    // Two requests of the same second can look the same.
    for (let copy = random.chance(0.05) ? 3 : 1; copy > 0 && lines.length < count; copy--) {
      lines.push(line)
      note(truth, path, timeMs)
    }
  }
  return { lines, truth }
}

function pathOf(index: number): string {
  if (index === 3) return `/search?q=${'%D0%9F'.repeat(100)}`
  if (index % 7 === 0) return `/say/\\"${index}\\"/a,b;c`
  if (index % 5 === 0) return `/blog/tags/puppet?flav=rss20&page=${index}`
  return index === 1 ? '/' : `/images/${index}.png`
}

function clock(timeMs: number, offsetMinutes: number): string {
  const local = new Date(timeMs + offsetMinutes * MINUTE_MS)
  const two = (value: number): string => String(value).padStart(2, '0')
  const size = Math.abs(offsetMinutes)
  const zone = `${offsetMinutes < 0 ? '-' : '+'}${two(Math.floor(size / 60))}${two(size % 60)}`
  const time = local.toISOString().slice(11, 19)
  return `${two(local.getUTCDate())}/${MONTHS[local.getUTCMonth()]}/${local.getUTCFullYear()}:${time} ${zone}`
}
