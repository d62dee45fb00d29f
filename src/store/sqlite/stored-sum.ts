import { crc32 } from 'node:zlib'
import { ID_BYTES, ID_WORDS, wordsOfBytes } from './id-set.ts'
import type { Answer } from './memtable.ts'

/** Where the sum stands in the store's table of facts. */
export const STORED_SUM = 'stored_sum'

const AT = ID_WORDS
const ANSWERS = ID_WORDS + 1
const MINUTES = ID_WORDS + 2
const WORDS = ID_WORDS + 3

/**
 * A checksum over what the tables hold only once: seen ids, answers and minutes, in whatever order and place
 * they are stored. It is kept up to date with each fold and each purge. An id that was damaged on the disk
 * looks like any other and would be counted again in silence, a minute would move its count to another one:
 * `check` adds everything up anew and finds that the sum is another.
 *
 * Ids and answers are added and removed by the same step (XOR). Minutes change, so each adds its count times
 * a number that is its own: what is added to a count can be added to the sum without knowing the count.
 */
export class StoredSum {
  private readonly words = new Uint32Array(WORDS)

  /** Starts from the text of another one; from nothing without. */
  constructor(text = '') {
    for (const [index, word] of text.split(' ').entries()) {
      if (index < WORDS) this.words[index] = Number.parseInt(word, 16) || 0
    }
  }

  /** Adds or removes ids (20 bytes a piece) that came at a second. */
  toggleIds(ids: Uint8Array, atS: number): void {
    const from = wordsOfBytes(ids)
    const { words } = this
    for (let index = 0; index < ID_WORDS; index++) {
      let sum = 0
      for (let at = index; at < from.length; at += ID_WORDS) sum ^= from[at] as number
      words[index] = (words[index] as number) ^ sum
    }
    const isOdd = (ids.byteLength / ID_BYTES) % 2 === 1
    if (isOdd) words[AT] = (words[AT] as number) ^ atS
  }

  /** Adds or removes an answer. */
  toggleAnswer({ key, fingerprint, received, counted, duplicate, seq, atS }: Answer): void {
    const text = [key, fingerprint, received, counted, duplicate, seq, atS].join('\n')
    this.words[ANSWERS] = (this.words[ANSWERS] as number) ^ crc32(text)
  }

  /** Adds to the count of a minute; a purged one is taken out by adding what is lacking to 0. */
  addMinute(key: number, minute: number, delta: number): void {
    const mixed = Math.imul(Math.imul(key, 0x9e37_79b1) ^ minute, 0x85eb_ca6b)
    const weight = (mixed ^ (mixed >>> 15)) | 1
    this.words[MINUTES] = (this.words[MINUTES] as number) + Math.imul(delta | 0, weight)
  }

  toString(): string {
    return [...this.words].map((word) => word.toString(16)).join(' ')
  }
}
