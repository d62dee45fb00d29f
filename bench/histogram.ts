/** Each power of two is cut into this many buckets: a quantile is right to within 1/64, 1.6 %. */
const BUCKETS_PER_OCTAVE = 64
const OCTAVES = 32

/** Counts durations in buckets that grow with the value, as HdrHistogram does: constant memory, no sorting. */
export class Histogram {
  readonly #buckets: Uint32Array
  #count: number
  #sum: number
  #max: number

  constructor() {
    this.#buckets = new Uint32Array(BUCKETS_PER_OCTAVE * OCTAVES)
    this.#count = 0
    this.#sum = 0
    this.#max = 0
  }

  /** Adds one duration in microseconds; anything below 1 µs counts as 1 µs. */
  add(us: number): void {
    const index = us <= 1 ? 0 : Math.floor(Math.log2(us) * BUCKETS_PER_OCTAVE)
    const at = Math.min(index, this.#buckets.length - 1)
    this.#buckets[at] = (this.#buckets[at] ?? 0) + 1
    this.#count += 1
    this.#sum += us
    if (us > this.#max) this.#max = us
  }

  get count(): number {
    return this.#count
  }

  /** Microseconds; 0 when nothing was added. */
  get mean(): number {
    return this.#count === 0 ? 0 : this.#sum / this.#count
  }

  /** Microseconds. */
  get max(): number {
    return this.#max
  }

  /** The upper edge, in microseconds, of the bucket that holds the given share of all durations (0 to 1). */
  quantile(share: number): number {
    const wanted = Math.ceil(this.#count * share)
    let seen = 0
    for (const [index, inBucket] of this.#buckets.entries()) {
      seen += inBucket
      if (seen >= wanted && seen > 0) return Math.min(this.#max, 2 ** ((index + 1) / BUCKETS_PER_OCTAVE))
    }
    return this.#max
  }
}
