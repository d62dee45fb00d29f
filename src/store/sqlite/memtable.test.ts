import { expect, it } from 'vitest'
import { CellTable, type StoredCounter } from './cells.ts'
import { encodeCells, Memtable, sealed } from './memtable.ts'

const COUNTERS: readonly StoredCounter[] = [
  { id: 1, name: 'clicks', keepsSeries: true },
  { id: 2, name: 'views', keepsSeries: true },
]

/** The keys of a memtable as folding takes them. */
function order(table: Memtable): string[] {
  return table.cells.order.map((cell) => `${cell.counter.id}/${cell.key}=${cell.value}`)
}

it('rows counted again make the same memtable, entry for entry, also where counters alternate', () => {
  const live = new Memtable()
  const replayed = new Memtable()
  for (const seq of [1, 2]) {
    const batch = new CellTable()
    for (let number = 0; number < 6; number++) {
      const counter = COUNTERS[number % 2] as StoredCounter
      batch
        .create(counter, `key-${seq * 4 + number}`, { value: seq * 10 + number, version: seq })
        .minutes.add(29_000_000, 1)
    }
    const row = { seq, atS: 0, cells: encodeCells(batch), ids: new Uint8Array(), answers: '[]', ledger: '[]' }
    live.merge(batch, seq)
    replayed.replay(sealed(row), (id) => COUNTERS[id - 1] as StoredCounter)
  }
  expect(order(replayed)).toEqual(order(live))
})
