import { hash } from 'node:crypto'

/**
 * Event ids as the stores keep them: 16 bytes. A UUID (RFC 9562, in any case, version 1 to 8) is its own 16
 * bytes, so that ids of version 7 stay in the order of time. Any other id is the first 16 bytes of its
 * SHA-256 with the version nibble set to 15, which no UUID has: the two kinds can't collide.
 */

const NOT_HEX = 0x1_0000
const NIBBLES = new Int32Array(128).fill(NOT_HEX)
for (const [value, digit] of [...'0123456789abcdef'].entries()) {
  NIBBLES[digit.charCodeAt(0)] = value
  NIBBLES[digit.toUpperCase().charCodeAt(0)] = value
}

const HYPHEN = 0x2d
const UUID_CHARS = 36
const UUID_VERSION_MAX = 8
const HASHED_VERSION = 0xf

function nibble(id: string, at: number): number {
  const code = id.charCodeAt(at)
  return code < 128 ? (NIBBLES[code] as number) : NOT_HEX
}

/** Four hex digits as a number below 65,536; more than that if one of them is not hex. */
function hex4(id: string, at: number): number {
  const high = nibble(id, at) * 4096 + nibble(id, at + 1) * 256
  return high + nibble(id, at + 2) * 16 + nibble(id, at + 3)
}

function isUuidShaped(id: string): boolean {
  return (
    id.length === UUID_CHARS &&
    id.charCodeAt(8) === HYPHEN &&
    id.charCodeAt(13) === HYPHEN &&
    id.charCodeAt(18) === HYPHEN &&
    id.charCodeAt(23) === HYPHEN
  )
}

function writeHashed(id: string, words: Uint32Array, at: number): void {
  const digest = hash('sha256', id, 'buffer')
  words[at] = digest.readUInt32BE(0)
  words[at + 1] = (digest.readUInt32BE(4) & 0xffff_0fff) | (HASHED_VERSION << 12)
  words[at + 2] = digest.readUInt32BE(8)
  words[at + 3] = digest.readUInt32BE(12)
}

/** Writes the four words of an id, most significant first, to `words` from `at`. */
export function writeEventId(id: string, words: Uint32Array, at: number): void {
  if (!isUuidShaped(id) || !writeUuid(id, words, at)) writeHashed(id, words, at)
}

/** False, with nothing written, for text that only looks like a UUID. */
function writeUuid(id: string, words: Uint32Array, at: number): boolean {
  const a = hex4(id, 0)
  const b = hex4(id, 4)
  const c = hex4(id, 9)
  const d = hex4(id, 14)
  const e = hex4(id, 19)
  const f = hex4(id, 24)
  const g = hex4(id, 28)
  const h = hex4(id, 32)
  const version = d >>> 12
  const anyNotHex = a >= NOT_HEX || b >= NOT_HEX || c >= NOT_HEX || d >= NOT_HEX
  const anyNotHexBehind = e >= NOT_HEX || f >= NOT_HEX || g >= NOT_HEX || h >= NOT_HEX
  if (anyNotHex || anyNotHexBehind || version < 1 || version > UUID_VERSION_MAX) return false
  words[at] = a * 0x1_0000 + b
  words[at + 1] = c * 0x1_0000 + d
  words[at + 2] = e * 0x1_0000 + f
  words[at + 3] = g * 0x1_0000 + h
  return true
}
