import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { textFlaw } from '../core/key-text.ts'
import { KEY_CHARS_MAX } from '../core/limits.ts'
import { readCursor, writeCursor } from './cursor.ts'

const keys = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: KEY_CHARS_MAX })
  .filter((key) => textFlaw(key, KEY_CHARS_MAX) === undefined)

describe('cursor', () => {
  test('leads on after any key, the longest one included, and stands in an address as it is', () => {
    fc.assert(
      fc.property(fc.oneof(keys, fc.constant('🍌'.repeat(KEY_CHARS_MAX))), (key) => {
        const cursor = writeCursor('clicks', key)
        expect(encodeURIComponent(cursor)).toBe(cursor)
        expect(readCursor('clicks', cursor)).toBe(key)
      }),
    )
  })

  test('of another counter it is refused, also where one name begins with the other', () => {
    expect(() => readCursor('clicks', writeCursor('click', 'a'))).toThrow(/cursor/)
    expect(() => readCursor('click', writeCursor('clicks', 'a'))).toThrow(/cursor/)
  })

  test('any other text is refused', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.base64String()), (text) => {
        expect(() => readCursor('clicks', text)).toThrow(/cursor/)
      }),
    )
  })
})
