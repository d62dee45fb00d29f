import { randomUUID, randomUUIDv7 } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { writeEventId } from './event-id.ts'

function words(id: string): string {
  const out = new Uint32Array(4)
  writeEventId(id, out, 0)
  return [...out].map((word) => word.toString(16).padStart(8, '0')).join('')
}

describe('event ids', () => {
  it('a UUID is stored as its own sixteen bytes, whatever its case', () => {
    for (let round = 0; round < 200; round++) {
      for (const id of [randomUUID(), randomUUIDv7()]) {
        expect(words(id)).toBe(id.replaceAll('-', ''))
        expect(words(id.toUpperCase())).toBe(words(id))
      }
    }
  })

  it('ids of version 7 sort in the order of time', () => {
    expect(
      words('01890000-0000-7fff-bfff-ffffffffffff') < words('01890000-0001-7000-8000-000000000000'),
    ).toBe(true)
  })

  it('anything that is not quite a UUID is hashed, and no hash can be a UUID', () => {
    const near = randomUUIDv7()
    const others = [
      'a',
      near.replaceAll('-', ''),
      `${near.slice(0, 35)}g`,
      `${near.slice(0, 35)}é`,
      `${near.slice(0, 14)}f${near.slice(15)}`,
      `${near.slice(0, 14)}0${near.slice(15)}`,
      `${near.slice(0, 13)}x${near.slice(14)}`,
    ]
    for (const id of others) {
      expect(words(id)).not.toBe(id.replaceAll('-', ''))
      expect(words(id)[12]).toBe('f')
    }
    expect(new Set(others.map(words)).size).toBe(others.length)
  })
})
