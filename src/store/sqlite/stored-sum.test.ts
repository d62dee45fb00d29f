import { randomBytes } from 'node:crypto'
import { expect, it } from 'vitest'
import { ID_BYTES } from './id-set.ts'
import { StoredSum } from './stored-sum.ts'

const AT_S = 1_790_000_000

const answer = { key: 'open\nk', fingerprint: 'f', received: 2, counted: 1, duplicate: 1, seq: 7, atS: AT_S }

it('the sum does not depend on order or packing, and is carried on by its text', () => {
  const ids = randomBytes(5 * ID_BYTES)
  const together = new StoredSum()
  together.toggleIds(ids, AT_S)
  together.toggleAnswer(answer)
  const first = new StoredSum()
  first.toggleAnswer(answer)
  for (const number of [3, 0, 4]) {
    first.toggleIds(ids.subarray(number * ID_BYTES, (number + 1) * ID_BYTES), AT_S)
  }
  const second = new StoredSum(first.toString())
  for (const number of [2, 1]) {
    second.toggleIds(ids.subarray(number * ID_BYTES, (number + 1) * ID_BYTES), AT_S)
  }
  expect(second.toString()).toBe(together.toString())
})

it('minutes add up to the same, however their counts came together', () => {
  const atOnce = new StoredSum()
  atOnce.addMinute(1, 29_000_000, 5_000_000_007)
  atOnce.addMinute(2, 29_000_001, -3)
  const inParts = new StoredSum()
  inParts.addMinute(2, 29_000_001, 4)
  inParts.addMinute(1, 29_000_000, 5_000_000_000)
  inParts.addMinute(1, 29_000_000, 7)
  inParts.addMinute(2, 29_000_001, -7)
  expect(inParts.toString()).toBe(atOnce.toString())
  const moved = new StoredSum()
  moved.addMinute(1, 29_000_002, 5_000_000_007)
  moved.addMinute(2, 29_000_001, -3)
  expect(moved.toString()).not.toBe(atOnce.toString())
})

it('what was removed again leaves nothing behind', () => {
  const ids = randomBytes(3 * ID_BYTES)
  const sum = new StoredSum()
  for (let times = 0; times < 2; times++) {
    sum.toggleIds(ids, AT_S)
    sum.toggleAnswer(answer)
  }
  expect(sum.toString()).toBe(new StoredSum().toString())
})

it('any flipped bit of an id, of its second or of an answer changes the sum', () => {
  const ids = randomBytes(2 * ID_BYTES)
  const of = (bytes: Uint8Array, atS: number, counted: number) => {
    const sum = new StoredSum()
    sum.toggleIds(bytes, atS)
    sum.toggleAnswer({ ...answer, counted })
    return sum.toString()
  }
  const whole = of(ids.subarray(0, ID_BYTES), AT_S, 1)
  for (let bit = 0; bit < ID_BYTES * 8; bit++) {
    const copy = Buffer.from(ids.subarray(0, ID_BYTES))
    copy.writeUInt8(copy.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
    expect(of(copy, AT_S, 1)).not.toBe(whole)
  }
  for (let bit = 0; bit < 31; bit++)
    expect(of(ids.subarray(0, ID_BYTES), AT_S ^ (1 << bit), 1)).not.toBe(whole)
  expect(of(ids.subarray(0, ID_BYTES), AT_S, 3)).not.toBe(whole)
})
