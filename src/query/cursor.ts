import { shown, TallyError } from '../core/errors.ts'
import { textFlaw } from '../core/key-text.ts'
import { KEY_CHARS_MAX } from '../core/limits.ts'

/** Base64url; how long a cursor can be is bounded by its key, and before that by the headers. */
const FORM = /^[A-Za-z0-9_-]+$/
const SEPARATOR = '\n'

/** Where the next page of a counter's readings starts: after this key. Opaque to clients. */
export function writeCursor(counter: string, after: string): string {
  return Buffer.from(`1${SEPARATOR}${counter}${SEPARATOR}${after}`).toString('base64url')
}

/** The key after which the page starts. Throws `invalid_parameter` for a cursor of something else. */
export function readCursor(counter: string, cursor: string): string {
  const prefix = `1${SEPARATOR}${counter}${SEPARATOR}`
  const text = FORM.test(cursor) ? Buffer.from(cursor, 'base64url').toString() : ''
  const after = text.slice(prefix.length)
  if (text.startsWith(prefix) && textFlaw(after, KEY_CHARS_MAX) === undefined) return after
  throw new TallyError('invalid_parameter', 'This cursor is not from a page of this counter', {
    at: 'cursor',
    expected: 'the cursor of the page before',
    got: shown(cursor),
  })
}
