import { DatabaseSync } from 'node:sqlite'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ID_BYTES, ID_WORDS, IdSet, wordsOfBytes } from './id-set.ts'
import { migrate } from './migrations.ts'
import { SeenReader } from './seen-reader.ts'
import { SeenWriter } from './seen-writer.ts'

function idOf(timeMs: number, tail: number): Buffer {
  const id = Buffer.alloc(ID_BYTES)
  id.writeUIntBE(timeMs, 0, 6)
  id.writeUInt32BE(tail, 12)
  id.writeUInt32BE(1, 16)
  return id
}

/** Stores one fold's ids the way a fold does: in the order of time, in slices. */
function fold(writer: SeenWriter, ids: Buffer[], range: { lowMs: number; highMs: number }): void {
  const set = new IdSet()
  for (const id of ids) set.add(wordsOfBytes(id), 0)
  const order = set.byTime()
  for (let at = 0; at < order.length; at += 300) {
    writer.insert(set.pick(order.subarray(at, at + 300)), range, 1)
  }
}

describe('seen ids', () => {
  it('what was stored is found, what was not is not, and the gap holds no stored time', () => {
    const ids = fc.array(fc.tuple(fc.integer({ min: 0, max: 400 }), fc.nat({ max: 3 })), { maxLength: 900 })
    fc.assert(
      fc.property(
        fc.array(ids, { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 0, max: 400 }),
        (folds, moment) => {
          const db = new DatabaseSync(':memory:')
          migrate(db)
          const writer = new SeenWriter(db)
          const reader = new SeenReader(db)
          const stored = new Map<string, Buffer>()
          expect(reader.isEmpty()).toBe(true)
          for (const pairs of folds) {
            const gap = writer.gapAround(moment)
            for (const { timeMs } of [...stored.values()].map((id) => ({ timeMs: id.readUIntBE(0, 6) }))) {
              expect(timeMs <= gap.lowMs || timeMs >= gap.highMs).toBe(true)
            }
            const fresh = new Map(pairs.map(([timeMs, tail]) => [`${timeMs} ${tail}`, idOf(timeMs, tail)]))
            for (const name of stored.keys()) fresh.delete(name)
            fold(writer, [...fresh.values()], gap)
            reader.refresh()
            for (const [name, id] of fresh) stored.set(name, id)
          }
          const asked = Array.from({ length: 401 * 4 }, (_, index) => idOf(Math.floor(index / 4), index % 4))
          const found = new Set(reader.seen(Buffer.concat(asked)))
          for (const [index] of asked.entries()) {
            expect(found.has(index)).toBe(stored.has(`${Math.floor(index / 4)} ${index % 4}`))
          }
          expect(reader.seen(Buffer.alloc(ID_BYTES, 0xff))).toEqual([])
          db.close()
        },
      ),
      { numRuns: 60 },
    )
  })

  it('a millisecond with any number of ids has few blocks, and every one of its ids is found', () => {
    const db = new DatabaseSync(':memory:')
    migrate(db)
    const writer = new SeenWriter(db)
    const ids = Array.from({ length: 10_000 }, (_, index) => idOf(1_000, index))
    fold(writer, ids, { lowMs: 0, highMs: 2_000 })
    expect(new SeenReader(db).seen(Buffer.concat(ids))).toHaveLength(ids.length)
    expect(Number(db.prepare('SELECT count(*) AS n FROM seen_block').get()?.n)).toBeLessThan(20)
    db.close()
  })

  it('an id whose bytes straddle two others is not found', () => {
    const db = new DatabaseSync(':memory:')
    migrate(db)
    const writer = new SeenWriter(db)
    const first = Buffer.alloc(ID_BYTES, 7)
    first.writeUIntBE(1_000, 0, 6)
    const second = Buffer.from(first)
    second[ID_BYTES - 1] = 8
    writer.insert(Buffer.concat([first, second]), { lowMs: 0, highMs: 2_000 }, 1)
    const reader = new SeenReader(db)
    expect(reader.seen(Buffer.concat([first, second]))).toEqual([0, 1])
    const between = Buffer.concat([first, second]).subarray(6, 6 + ID_BYTES)
    expect(reader.seen(between)).toEqual([])
    expect(db.prepare('SELECT count(*) AS n FROM seen_block').get()?.n).toBe(1)
    expect(ID_WORDS * 4).toBe(ID_BYTES)
    db.close()
  })
})
