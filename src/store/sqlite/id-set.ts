import { randomBytes } from 'node:crypto'

/** The words of one id: four of the event id, one of its counter. */
export const ID_WORDS = 5
export const ID_BYTES = ID_WORDS * 4

const EMPTY = 0
/** A sort key is 44 bits of time and 20 bits of the entry's number. */
const NUMBER_BITS = 20
const NUMBER_MASK = (1 << NUMBER_BITS) - 1
export const IDS_MAX = 1 << NUMBER_BITS
const LOAD_MAX = 0.5
const SLOTS_MIN = 1024

/**
 * A set of ids in two flat arrays: entries in the order they came, and an open-addressed table of their
 * numbers. It makes no garbage, gives its entries to the journal as they lie, and can take back its newest
 * entries when a commit fails. The hash is seeded at random, so a client can't aim its ids at one slot.
 */
export class IdSet {
  private words: Uint32Array
  private slots: Int32Array
  private readonly seeds: Uint32Array
  private count: number
  /** The latest time that an entry carries; see timeOfId. */
  private latest: number

  constructor(expected = 0) {
    let slots = SLOTS_MIN
    while (slots * LOAD_MAX < expected) slots *= 2
    this.slots = new Int32Array(slots)
    this.words = new Uint32Array(slots * LOAD_MAX * ID_WORDS)
    const seed = randomBytes(ID_WORDS * 4)
    this.seeds = new Uint32Array(ID_WORDS).map((_, index) => seed.readUInt32LE(index * 4) | 1)
    this.count = 0
    this.latest = -1
  }

  get size(): number {
    return this.count
  }

  /** Whether the id whose words start at `at` is in the set. */
  has(from: Uint32Array, at: number): boolean {
    // Fresh ids in the order of time are spared the probe.
    if (timeOfId(from, at) > this.latest) return false
    return (this.slots[this.find(from, at)] as number) !== EMPTY
  }

  /** Adds the id whose words start at `at`; false if it was there. */
  add(from: Uint32Array, at: number): boolean {
    if (this.count >= this.slots.length * LOAD_MAX) this.grow()
    const slot = this.find(from, at)
    if (this.slots[slot] !== EMPTY) return false
    const base = this.count * ID_WORDS
    for (let index = 0; index < ID_WORDS; index++) this.words[base + index] = from[at + index] as number
    this.count++
    this.slots[slot] = this.count
    this.latest = Math.max(this.latest, timeOfId(from, at))
    return true
  }

  /** Takes back every entry after the first `size`. Rare: a commit failed, or a submission was refused. */
  truncate(size: number): void {
    this.count = Math.min(size, this.count)
    this.rehash()
  }

  /** The entries from number `start` to before `end` as bytes, big-endian, 20 a piece. */
  bytes(start: number, end: number): Uint8Array {
    const copy = this.words.slice(start * ID_WORDS, end * ID_WORDS)
    return Buffer.from(copy.buffer).swap32()
  }

  /**
   * The numbers of the entries in the order of the time that their first 48 bits would be in a UUIDv7. Times
   * above 2^44 ms (the year 2527: no UUIDv7 of our days) may stand anywhere.
   */
  byTime(): Uint32Array {
    const keys = new BigUint64Array(this.count)
    const halves = new Uint32Array(keys.buffer)
    for (let entry = 0; entry < this.count; entry++) {
      const high = this.words[entry * ID_WORDS] as number
      const low = (this.words[entry * ID_WORDS + 1] as number) >>> 16
      halves[entry * 2] = (low << NUMBER_BITS) | entry
      halves[entry * 2 + 1] = (high << 4) | (low >>> (32 - NUMBER_BITS))
    }
    keys.sort()
    const numbers = new Uint32Array(this.count)
    for (let at = 0; at < this.count; at++) numbers[at] = (halves[at * 2] as number) & NUMBER_MASK
    return numbers
  }

  /** The entries with these numbers as bytes, big-endian, 20 a piece. */
  pick(numbers: Uint32Array): Uint8Array {
    const copy = new Uint32Array(numbers.length * ID_WORDS)
    for (const [at, entry] of numbers.entries()) {
      const base = entry * ID_WORDS
      for (let index = 0; index < ID_WORDS; index++)
        copy[at * ID_WORDS + index] = this.words[base + index] as number
    }
    return Buffer.from(copy.buffer).swap32()
  }

  private find(from: Uint32Array, at: number): number {
    const mask = this.slots.length - 1
    let hash = 0
    for (let index = 0; index < ID_WORDS; index++) {
      hash = Math.imul(hash ^ (from[at + index] as number), this.seeds[index] as number)
      hash ^= hash >>> 15
    }
    let slot = hash & mask
    for (;;) {
      const entry = this.slots[slot] as number
      if (entry === EMPTY || this.equals(entry, from, at)) return slot
      slot = (slot + 1) & mask
    }
  }

  private equals(entry: number, from: Uint32Array, at: number): boolean {
    const base = (entry - 1) * ID_WORDS
    // The last words differ first: ids of one moment share their beginning.
    for (let index = ID_WORDS - 2; index >= 0; index--) {
      if (this.words[base + index] !== from[at + index]) return false
    }
    return this.words[base + ID_WORDS - 1] === from[at + ID_WORDS - 1]
  }

  private grow(): void {
    const words = new Uint32Array(this.words.length * 2)
    words.set(this.words)
    this.words = words
    this.slots = new Int32Array(this.slots.length * 2)
    this.rehash()
  }

  private rehash(): void {
    this.slots.fill(EMPTY)
    for (let entry = 1; entry <= this.count; entry++) {
      this.slots[this.find(this.words, (entry - 1) * ID_WORDS)] = entry
    }
  }
}

/** The words of ids from their big-endian bytes. */
export function wordsOfBytes(bytes: Uint8Array): Uint32Array {
  const copy = Buffer.alloc(bytes.byteLength)
  copy.set(bytes)
  copy.swap32()
  return new Uint32Array(copy.buffer, copy.byteOffset, copy.byteLength / 4)
}

/** The time that the first 48 bits of an id would be in a UUIDv7, milliseconds since the epoch. */
export function timeOfId(words: Uint32Array, at: number): number {
  return (words[at] as number) * 0x1_0000 + ((words[at + 1] as number) >>> 16)
}
