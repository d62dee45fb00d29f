import { crc32 } from 'node:zlib'
import { ID_BYTES, ID_WORDS } from './id-set.ts'
import type { Answer } from './memtable.ts'

/** Where the sum stands in the store's table of facts. */
export const REMEMBERED_SUM = 'remembered_sum'

const AT = ID_WORDS
const ANSWERS = ID_WORDS + 1
const WORDS = ID_WORDS + 2

/**
 * A checksum over everything that is remembered to count nothing twice: ids and answers, in whatever order
 * and place they are stored. Adding and removing are the same step (XOR), so it is kept up to date with each
 * fold and each purge. An id that was damaged on the disk looks like any other and would be counted again in
 * silence: `check` adds everything up anew and finds that the sum is another.
 */
export class RememberedSum {
  private readonly words = new Uint32Array(WORDS)

  /** Starts from the text of another one; from nothing without. */
  constructor(text = '') {
    for (const [index, word] of text.split(' ').entries()) {
      if (index < WORDS) this.words[index] = Number.parseInt(word, 16) || 0
    }
  }

  /** Adds or removes ids (20 bytes a piece) that came at a second. */
  toggleIds(ids: Uint8Array, atS: number): void {
    const view = new DataView(ids.buffer, ids.byteOffset, ids.byteLength)
    const { words } = this
    for (let at = 0; at + ID_BYTES <= ids.byteLength; at += ID_BYTES) {
      for (let index = 0; index < ID_WORDS; index++) {
        words[index] = (words[index] as number) ^ view.getUint32(at + index * 4)
      }
      words[AT] = (words[AT] as number) ^ atS
    }
  }

  /** Adds or removes an answer. */
  toggleAnswer({ key, fingerprint, received, counted, duplicate, seq, atS }: Answer): void {
    const text = [key, fingerprint, received, counted, duplicate, seq, atS].join('\n')
    this.words[ANSWERS] = (this.words[ANSWERS] as number) ^ crc32(text)
  }

  toString(): string {
    return [...this.words].map((word) => word.toString(16)).join(' ')
  }
}
