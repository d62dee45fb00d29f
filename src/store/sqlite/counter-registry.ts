import { TallyError } from '../../core/errors.ts'
import type { StoredCounter } from './cells.ts'

/** The counters of the store by name and id. A new name gets the next id, which its first batch makes durable. */
export class CounterRegistry {
  private readonly byName = new Map<string, StoredCounter>()
  private readonly byId = new Map<number, StoredCounter>()
  private readonly keepsSeries: (name: string) => boolean
  private unsaved: StoredCounter[] = []

  constructor(stored: readonly { id: number; name: string }[], keepsSeries: (name: string) => boolean) {
    this.keepsSeries = keepsSeries
    for (const { id, name } of stored) this.remember({ id, name, keepsSeries: keepsSeries(name) })
  }

  find(name: string): StoredCounter | undefined {
    return this.byName.get(name)
  }

  /** The counter of this name, new if need be. */
  get(name: string): StoredCounter {
    const known = this.byName.get(name)
    if (known !== undefined) return known
    const counter = { id: this.byId.size + 1, name, keepsSeries: this.keepsSeries(name) }
    this.remember(counter)
    this.unsaved.push(counter)
    return counter
  }

  /** The counter that the journal names by id; the counters table is written with the journal. */
  withId(id: number): StoredCounter {
    const known = this.byId.get(id)
    if (known === undefined)
      throw new TallyError('store_corrupt', `The journal names counter ${id}, which the store lacks.`)
    return known
  }

  /** New since the last `saved`: to be written with the next batch. */
  news(): [id: number, name: string, wholeSeries: boolean][] {
    return this.unsaved.map(({ id, name, keepsSeries }) => [id, name, keepsSeries])
  }

  saved(): void {
    if (this.unsaved.length > 0) this.unsaved = []
  }

  private remember(counter: StoredCounter): void {
    this.byName.set(counter.name, counter)
    this.byId.set(counter.id, counter)
  }
}
