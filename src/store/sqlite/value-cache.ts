/** A value and the batch that last changed it. */
export interface Versioned {
  readonly value: number
  readonly version: number
}

/**
 * The values read or written lately, in two generations: when the young one is full it becomes the old one
 * and what the old one still held is forgotten. Every write goes through this process, so an entry is never
 * older than the tables.
 */
export class ValueCache {
  private readonly generationMax: number
  private young = new Map<number, Map<string, Versioned>>()
  private old = new Map<number, Map<string, Versioned>>()
  private youngSize = 0

  constructor(keysMax: number) {
    this.generationMax = Math.ceil(keysMax / 2)
  }

  get(counterId: number, key: string): Versioned | undefined {
    const found = this.young.get(counterId)?.get(key)
    if (found !== undefined) return found
    const aged = this.old.get(counterId)?.get(key)
    if (aged !== undefined) this.set(counterId, key, aged)
    return aged
  }

  set(counterId: number, key: string, entry: Versioned): void {
    let keys = this.young.get(counterId)
    if (keys === undefined) {
      keys = new Map()
      this.young.set(counterId, keys)
    }
    const before = keys.size
    keys.set(key, entry)
    this.youngSize += keys.size - before
    if (this.youngSize < this.generationMax) return
    this.old = this.young
    this.young = new Map()
    this.youngSize = 0
  }
}
