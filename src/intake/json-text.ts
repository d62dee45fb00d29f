import { isAscii, isUtf8 } from 'node:buffer'
import { TallyError } from '../core/errors.ts'

/** A body as text, with what its bytes alone already prove about it if it is JSON. */
export interface JsonText {
  readonly text: string
  /**
   * Every string in it is free of control characters and lone surrogates: the text is ASCII without
   * backslash and DEL, and the parser refuses what is left of the control characters.
   */
  readonly printable: boolean
}

const BACKSLASH = 0x5c
const DELETE = 0x7f
const BYTE_ORDER_MARK = 0xfeff

/**
 * Decodes a request's body. Errors: `empty_body`; `invalid_encoding` for bytes that are not UTF-8 (lenient
 * decoding would merge two ids into one); `malformed_json` for a byte order mark, which RFC 8259 section 8.1
 * forbids to send.
 */
export function decodeJson(body: Buffer): JsonText {
  if (body.length === 0) throw new TallyError('empty_body', 'A JSON text is expected')
  if (isAscii(body)) {
    const printable = body.indexOf(BACKSLASH) === -1 && body.indexOf(DELETE) === -1
    return { text: body.toString('latin1'), printable }
  }
  if (!isUtf8(body)) {
    throw new TallyError('invalid_encoding', 'The body has bytes that are not UTF-8', {
      at: `byte ${firstInvalidByte(body)}`,
      expected: 'JSON in UTF-8 (RFC 8259 section 8.1)',
    })
  }
  const text = body.toString('utf8')
  if (text.charCodeAt(0) === BYTE_ORDER_MARK) {
    throw new TallyError('malformed_json', 'The body starts with a byte order mark', {
      at: 'line 1, column 1',
      expected: 'a JSON value (RFC 8259 section 8.1 forbids the mark)',
    })
  }
  return { text, printable: false }
}

/** Offset of the first byte that belongs to no valid UTF-8 sequence, from 0. */
function firstInvalidByte(body: Buffer): number {
  let valid = 0
  let invalid = body.length
  // Of a prefix, validity is monotone but for a sequence cut at its end, which is at most 3 bytes long.
  while (invalid - valid > 4) {
    const middle = (valid + invalid) >> 1
    if (isUtf8OrCut(body, middle)) valid = middle
    else invalid = middle
  }
  while (valid < invalid && isUtf8OrCut(body, valid + 1)) valid++
  while (valid > 0 && !isUtf8(body.subarray(0, valid))) valid--
  return valid
}

function isUtf8OrCut(body: Buffer, end: number): boolean {
  for (let cut = 0; cut <= 3 && cut <= end; cut++) if (isUtf8(body.subarray(0, end - cut))) return true
  return false
}

const QUOTE = 0x22
const QUOTES = 0x22222222
const LOW_BITS = 0x7f7f7f7f
const ONES = 0x01010101
/** A body this short may end before the first whole word. */
const SHORT_BYTES = 8
/** More words than this and a byte-wide tally would overflow into its neighbour. */
const WORDS_PER_TALLY = 255

/**
 * Counts the quotation marks of a body, four bytes at a time: a byte-by-byte loop takes longer than
 * JSON.parse itself. A JSON text has two for each of its strings, member names included, and one for each
 * that is escaped; readEventsFast proves with it that nothing was dropped.
 */
export function countQuotes(body: Buffer): number {
  if (body.length < SHORT_BYTES) return countBytewise(body, 0, body.length)
  const start = body.byteOffset
  const lead = -start & 3
  const words = new Int32Array(body.buffer, start + lead, (body.length - lead) >> 2)
  const tail = lead + words.length * 4
  let quotes = countBytewise(body, 0, lead) + countBytewise(body, tail, body.length)
  let at = 0
  while (at < words.length) {
    const stop = Math.min(words.length, at + WORDS_PER_TALLY)
    quotes += (stop - at) * 4
    let others = 0
    for (; at < stop; at++) {
      const difference = (words[at] as number) ^ QUOTES
      // The high bit of each byte: whether that byte differs from a quotation mark.
      others = (others + (((((difference & LOW_BITS) + LOW_BITS) | difference) >>> 7) & ONES)) | 0
    }
    quotes -= (others & 0xff) + ((others >>> 8) & 0xff) + ((others >>> 16) & 0xff) + (others >>> 24)
  }
  return quotes
}

function countBytewise(body: Buffer, from: number, to: number): number {
  let quotes = 0
  for (let at = from; at < to; at++) if (body[at] === QUOTE) quotes++
  return quotes
}
