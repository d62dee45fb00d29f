import { accessSync, constants } from 'node:fs'
import { shown } from '../core/errors.ts'
import { formatDuration, parseDurationMs } from './duration.ts'
import type { Input } from './problem.ts'

/** Reads a value given in the file, a variable or a flag; notes what is wrong and answers undefined. */
export type Parser<T> = (input: Input) => T | undefined

/** A URL or text that may carry a password, as it may be printed. */
export function withoutPassword(text: string): string {
  return text.replace(/(:\/\/[^/:@\s]*):[^@\s]*@/, '$1:…@')
}

export function text(expected: string): Parser<string> {
  return ({ raw, refuse }) =>
    typeof raw === 'string' && raw.trim() !== '' ? raw.trim() : refuse({ expected, got: shown(raw) })
}

export function wholeNumber(min: number, max: number): Parser<number> {
  return ({ raw, refuse }) => {
    const value = typeof raw === 'string' && /^\d{1,15}$/.test(raw.trim()) ? Number(raw) : raw
    if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value
    return refuse({ expected: `a whole number from ${min} to ${max}`, got: shown(raw) })
  }
}

export const trueOrFalse: Parser<boolean> = ({ raw, refuse }) => {
  if (raw === true || raw === 'true') return true
  if (raw === false || raw === 'false') return false
  return refuse({ expected: 'true or false', got: shown(raw) })
}

export function oneOf<const T extends string>(values: readonly T[], comment = ''): Parser<T> {
  return ({ raw, refuse }) =>
    values.find((value) => value === raw) ??
    refuse({
      expected: values.map((value) => `\`${value}\``).join(', ') + comment,
      got: typeof raw === 'string' ? shown(withoutPassword(raw)) : shown(raw),
    })
}

/** A duration in milliseconds; `forever` becomes Infinity where it is allowed. */
export function duration(options: { minMs: number; maxMs: number; forever?: boolean }): Parser<number> {
  const { minMs, maxMs } = options
  const range = `from ${formatDuration(minMs)} to ${formatDuration(maxMs)}`
  const expected = `a duration ${range}, such as 7d, 12h, 30m or 90s${options.forever ? ', or forever' : ''}`
  return ({ raw, refuse }) => {
    if (options.forever && raw === 'forever') return Number.POSITIVE_INFINITY
    const valueMs = typeof raw === 'string' ? parseDurationMs(raw) : undefined
    if (valueMs !== undefined && valueMs >= minMs && valueMs <= maxMs) return valueMs
    return refuse({ expected, got: shown(raw) })
  }
}

/** The URL of a store. Whether its driver can open it is the driver's matter. */
export const storeUrl: Parser<string> = ({ raw, refuse }) => {
  if (typeof raw === 'string' && /^sqlite:[^?#]*[^/?#]$/.test(raw.trim())) return raw.trim()
  return refuse({
    expected: '`sqlite:` and the path of a file (this version has only the embedded store)',
    got: typeof raw === 'string' ? shown(withoutPassword(raw)) : shown(raw),
  })
}

/** A secret of enough bytes. Its problems tell its length and never the text. */
export function secret(minBytes: number): Parser<string> {
  return ({ raw, refuse }) => {
    if (typeof raw !== 'string') return refuse({ expected: `a text of at least ${minBytes} bytes` })
    const bytes = Buffer.byteLength(raw)
    if (bytes >= minBytes) return raw
    return refuse({ expected: `a secret of at least ${minBytes} bytes`, got: `one of ${bytes} bytes` })
  }
}

/** Origins (RFC 6454) as a list, or as text with commas; `*` stands for any. */
export const origins: Parser<readonly string[]> = ({ raw, refuse }) => {
  const list: readonly unknown[] | undefined = Array.isArray(raw)
    ? raw
    : typeof raw === 'string'
      ? raw.split(',').map((part) => part.trim())
      : undefined
  if (list === undefined) return refuse({ expected: 'a list of origins', got: shown(raw) })
  const found: string[] = []
  for (const [index, part] of list.entries()) {
    if (isOrigin(part)) found.push(part)
    else {
      refuse({
        expected: 'an origin such as https://example.org, or *',
        got: shown(part),
        path: [String(index)],
      })
    }
  }
  return found.length === list.length ? found : undefined
}

function isOrigin(part: unknown): part is string {
  if (typeof part !== 'string') return false
  if (part === '*') return true
  return /^https?:/.test(part) && URL.canParse(part) && new URL(part).origin === part
}

/** The path of a file that can be read now. */
export const readableFile: Parser<string> = ({ raw, refuse }) => {
  if (typeof raw !== 'string') return refuse({ expected: 'the path of a file', got: shown(raw) })
  try {
    accessSync(raw, constants.R_OK)
    return raw
  } catch {
    return refuse({ expected: 'a file that can be read', got: shown(raw) })
  }
}

/** A URL with http or https, without a trailing slash. */
export const httpUrl: Parser<string> = ({ raw, refuse }) => {
  if (typeof raw === 'string' && /^https?:\/\//.test(raw) && URL.canParse(raw)) return raw.replace(/\/+$/, '')
  return refuse({ expected: 'a URL such as http://127.0.0.1:8080', got: shown(raw) })
}
