import { randomUUID, randomUUIDv7 } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { writeEventId } from '../event-id.ts'
import { ID_BYTES, ID_WORDS, IdSet, timeOfId, wordsOfBytes } from './id-set.ts'

function words(id: string, counter = 1): Uint32Array {
  const out = new Uint32Array(ID_WORDS)
  writeEventId(id, out, 0)
  out[4] = counter
  return out
}

describe('id set', () => {
  it('holds what was added, each once, and nothing else', () => {
    const set = new IdSet()
    const ids = Array.from({ length: 5_000 }, (_, index) => (index % 2 ? randomUUID() : randomUUIDv7()))
    for (const id of ids) expect(set.add(words(id), 0)).toBe(true)
    for (const id of ids) {
      expect(set.add(words(id), 0)).toBe(false)
      expect(set.has(words(id), 0)).toBe(true)
      expect(set.has(words(id, 2), 0)).toBe(false)
    }
    expect(set.size).toBe(ids.length)
    expect(set.has(words(randomUUIDv7()), 0)).toBe(false)
  })

  it('takes back its newest entries as if they had never come', () => {
    const set = new IdSet()
    const ids = Array.from({ length: 1_500 }, () => randomUUIDv7())
    for (const id of ids) set.add(words(id), 0)
    set.truncate(700)
    expect(ids.map((id) => set.has(words(id), 0))).toEqual(ids.map((_, index) => index < 700))
    for (const id of ids.slice(700)) expect(set.add(words(id), 0)).toBe(true)
    expect(set.size).toBe(1_500)
  })

  it('gives its entries as bytes that read back as the same words', () => {
    const set = new IdSet()
    const ids = ['a', randomUUIDv7(), randomUUID()]
    for (const id of ids) set.add(words(id), 0)
    const back = wordsOfBytes(set.bytes(0, 3))
    expect([...back]).toEqual(ids.flatMap((id) => [...words(id)]))
    expect(set.bytes(1, 2).byteLength).toBe(ID_BYTES)
  })

  it('puts its entries in the order of the time they carry, equal times in the order they came', () => {
    const set = new IdSet()
    const nowMs = Date.UTC(2026, 10, 21)
    for (let index = 0; index < 3_000; index++) {
      const at = words(randomUUIDv7())
      const timeMs = nowMs + ((index * 7_919) % 500) - 250
      at[0] = Math.floor(timeMs / 0x1_0000)
      at[1] = ((timeMs % 0x1_0000) * 0x1_0000 + ((at[1] as number) & 0xffff)) >>> 0
      set.add(at, 0)
    }
    const order = set.byTime()
    const picked = wordsOfBytes(set.pick(order))
    const times = Array.from(order, (_, index) => timeOfId(picked, index * ID_WORDS))
    expect(times).toEqual(times.toSorted((left, right) => left - right))
    expect(new Set(order).size).toBe(3_000)
    for (let at = 1; at < order.length; at++) {
      if (times[at] === times[at - 1]) expect(order[at]).toBeGreaterThan(order[at - 1] as number)
    }
  })
})
