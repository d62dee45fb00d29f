/** Deltas by minute. Nearly always a single minute is touched, so the first one is kept without a map. */
export class Minutes {
  private first = -1
  private firstDelta = 0
  private more: Map<number, number> | undefined = undefined

  add(minute: number, delta: number): void {
    if (this.first === minute || this.first === -1) {
      this.first = minute
      this.firstDelta += delta
      return
    }
    this.more ??= new Map()
    this.more.set(minute, (this.more.get(minute) ?? 0) + delta)
  }

  forEach(visit: (minute: number, delta: number) => void): void {
    if (this.first === -1) return
    visit(this.first, this.firstDelta)
    for (const [minute, delta] of this.more ?? []) visit(minute, delta)
  }

  /** minute, delta, minute, delta, … */
  flat(): number[] {
    const pairs: number[] = []
    this.forEach((minute, delta) => {
      pairs.push(minute, delta)
    })
    return pairs
  }
}

/** A counter as the store knows it; its id is given out once and never changes. */
export interface StoredCounter {
  readonly id: number
  readonly name: string
  readonly keepsSeries: boolean
}

/** A key with its absolute value after the newest batch, and the deltas by minute that the tables lack. */
export interface Cell {
  readonly counter: StoredCounter
  readonly key: string
  /** Where it stands in the order of its table; folding goes in this order. */
  readonly index: number
  value: number
  version: number
  readonly minutes: Minutes
  /** In a batch: the same key's cell in the memtable that the batch will be merged into, if it is there. */
  readonly target: Cell | undefined
}

/** What a cell starts with. */
export interface CellStart {
  readonly value: number
  readonly version: number
  readonly target?: Cell | undefined
}

/** Cells by counter and key, in the order in which their keys first came. */
export class CellTable {
  readonly order: Cell[] = []
  private readonly counters = new Map<number, Map<string, Cell>>()

  get(counterId: number, key: string): Cell | undefined {
    return this.counters.get(counterId)?.get(key)
  }

  /** The keys of one counter. */
  of(counterId: number): ReadonlyMap<string, Cell> {
    return this.keys(counterId)
  }

  /** All cells, counter by counter: the order of the journal, whatever order a batch named them in. */
  byCounter(): readonly Cell[] {
    if (this.counters.size <= 1) return this.order
    return [...this.counters.values()].flatMap((keys) => [...keys.values()])
  }

  /** Adds a key that is not in the table yet. */
  create(counter: StoredCounter, key: string, start: CellStart): Cell {
    const { value, version, target } = start
    const cell = { counter, key, index: this.order.length, value, version, minutes: new Minutes(), target }
    this.keys(counter.id).set(key, cell)
    this.order.push(cell)
    return cell
  }

  private keys(counterId: number): Map<string, Cell> {
    let keys = this.counters.get(counterId)
    if (keys === undefined) {
      keys = new Map()
      this.counters.set(counterId, keys)
    }
    return keys
  }
}
