import { hash } from 'node:crypto'
import { IMPORT_BLOCK_RECORDS } from '../../core/limits.ts'

const BYTES = 16
const TIME_BYTES = 6

/**
 * Ids for records that have none of their own, the same whenever the same file is read again: also after it
 * was renamed or appended to, and after other lines of it were mended or removed.
 *
 * An id is made of the file's first record (which tells files apart), the record's text, and which
 * occurrence of that text it is, counted within blocks of IMPORT_BLOCK_RECORDS, so that memory stays
 * bounded. See docs/decisions/import-ids.md.
 */
export class LineIds {
  private readonly what: string
  private prefix: string | undefined = undefined
  private block = 0
  private records = 0
  private seen = new Map<string, number>()

  /** `what` tells imports of the same file apart that count different things. */
  constructor(what: readonly string[]) {
    this.what = JSON.stringify(what)
  }

  /** The id of the next record; call it for every record of the file, in order. */
  next(raw: string, timeMs: number | undefined): string {
    this.prefix ??= hash('sha256', `${this.what}\n${raw}`, 'base64url')
    if (this.records === IMPORT_BLOCK_RECORDS) {
      this.block++
      this.records = 0
      this.seen = new Map()
    }
    this.records++
    const text = hash('sha256', `${this.prefix}\n${this.block}\n${raw}`, 'latin1')
    const short = text.slice(0, BYTES)
    const occurrence = this.seen.get(short) ?? 0
    this.seen.set(short, occurrence + 1)
    const digest = occurrence === 0 ? text : hash('sha256', `${text}${occurrence}`, 'latin1')
    return uuidOf(digest, timeMs)
  }
}

/**
 * A UUID (RFC 9562) of a digest: with a time in the layout of version 7, which stores keep in the order of
 * time; without one of version 8, all digest.
 */
function uuidOf(digest: string, timeMs: number | undefined): string {
  const bytes = Buffer.from(digest.slice(0, BYTES), 'latin1')
  if (timeMs !== undefined) bytes.writeUIntBE(timeMs, 0, TIME_BYTES)
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | (timeMs === undefined ? 0x80 : 0x70)
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  const hex = bytes.toString('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}
