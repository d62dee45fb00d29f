import { randomBytes } from 'node:crypto'

const HEX = new TextEncoder().encode('0123456789abcdef')
const NOISE_BYTES = 1 << 16

/** Length of a UUID as text. */
export const UUID_BYTES = 36

/**
 * Writes UUIDv7 texts (RFC 9562, section 5.7) into buffers, unique within the process and, by 24 random bits,
 * very likely across processes. Cheap on purpose: the load must cost less than what it measures.
 * Inside a millisecond the order is random, as with many clients that know nothing of each other; a generator
 * that counts upwards would flatter the store, which keeps ids in order.
 */
export class Uuid7Writer {
  readonly #noise: Buffer
  readonly #prefix: Buffer
  readonly #node: Buffer
  #noiseAt: number
  #sequence: number
  #prefixMs: number

  constructor() {
    this.#noise = randomBytes(NOISE_BYTES)
    this.#prefix = Buffer.alloc(15)
    this.#node = Buffer.from(randomBytes(3).toString('hex'), 'latin1')
    this.#noiseAt = 0
    this.#sequence = 0
    this.#prefixMs = 0
  }

  /** Writes 36 bytes at the offset; `nowMs` is milliseconds since the epoch. */
  write(target: Buffer, offset: number, nowMs: number): void {
    if (nowMs !== this.#prefixMs) this.#setPrefix(nowMs)
    this.#prefix.copy(target, offset)
    const random = this.#nextNoise()
    const sequence = this.#sequence
    this.#sequence = (sequence + 1) % 0x1000000
    hex(target, offset + 15, random, 3)
    target[offset + 18] = 0x2d // -
    target[offset + 19] = 0x61 // the variant's bits, 10xx
    hex(target, offset + 20, random >> 12, 3)
    target[offset + 23] = 0x2d
    hex(target, offset + 24, sequence, 6)
    this.#node.copy(target, offset + 30)
  }

  #nextNoise(): number {
    this.#noiseAt = (this.#noiseAt + 3) % (NOISE_BYTES - 3)
    return this.#noise.readUIntLE(this.#noiseAt, 3)
  }

  #setPrefix(nowMs: number): void {
    const text = nowMs.toString(16).padStart(12, '0')
    this.#prefix.write(`${text.slice(0, 8)}-${text.slice(8)}-7`, 'latin1')
    this.#prefixMs = nowMs
  }
}

function hex(target: Buffer, offset: number, value: number, digits: number): void {
  let rest = value
  for (let at = offset + digits - 1; at >= offset; at -= 1) {
    target[at] = HEX[rest & 15] ?? 0
    rest >>= 4
  }
}
