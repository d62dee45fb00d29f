/** What a test does by chance, repeatable: the same seed gives the same choices. */
export class SeededRandom {
  private state: number

  constructor(seed: number) {
    this.state = seed >>> 0
  }

  /** A number from 0 to below 1 (Mulberry32: 32 bits of state, good enough for choices in tests). */
  next(): number {
    this.state = (this.state + 0x6d2b_79f5) >>> 0
    let mixed = this.state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1))
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  pick<Item>(items: readonly Item[]): Item {
    const item = items[this.between(0, items.length - 1)]
    if (item === undefined) throw new Error('nothing to pick from')
    return item
  }

  /** Hexadecimal digits, such as an id is made of. */
  hex(digits: number): string {
    let text = ''
    while (text.length < digits) text += this.between(0, 0xffff).toString(16).padStart(4, '0')
    return text.slice(0, digits)
  }
}

/** The seed of this run: TALLY_SEED, or a new one. It is printed, so that a failure can be repeated. */
export function seededRandom(test: string): SeededRandom {
  const given = Number(process.env.TALLY_SEED)
  const seed = Number.isSafeInteger(given) && given > 0 ? given : 1 + Math.floor(Math.random() * 0xffff_fffe)
  process.stdout.write(`${test}: TALLY_SEED=${seed}\n`)
  return new SeededRandom(seed)
}

/** How often a fault is repeated: `rounds`, times TALLY_FAULT_ROUNDS for a longer run. */
export function faultRounds(rounds: number): number {
  const factor = Number(process.env.TALLY_FAULT_ROUNDS ?? 1)
  return Math.max(1, Math.round(rounds * (Number.isFinite(factor) && factor > 0 ? factor : 1)))
}
