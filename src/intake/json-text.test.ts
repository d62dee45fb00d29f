import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { TallyError } from '../core/errors.ts'
import { countQuotes, decodeJson } from './json-text.ts'

function refusal(body: Buffer): { code: string; at: string | undefined } | undefined {
  try {
    decodeJson(body)
    return undefined
  } catch (error) {
    if (error instanceof TallyError) return { code: error.code, at: error.detail.at }
    throw error
  }
}

test('an empty body is named as such', () => {
  expect(refusal(Buffer.alloc(0))?.code).toBe('empty_body')
})

test('a byte order mark is refused, not skipped', () => {
  expect(refusal(Buffer.from('\ufeff{}'))?.code).toBe('malformed_json')
})

test.each([
  ['an overlong slash', [0xc0, 0xaf], 0],
  ['a surrogate', [0x61, 0xed, 0xa0, 0x80], 1],
  ['a lone continuation', [0x61, 0x62, 0x80, 0x61], 2],
  ['a sequence cut at the end', [0x61, 0xe2, 0x82], 1],
  ['beyond U+10FFFF', [0xf4, 0x90, 0x80, 0x80], 0],
  ['a byte no UTF-8 has', [0x61, 0xff, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61], 1],
])('invalid UTF-8 is refused with its place: %s', (_name, bytes, at) => {
  expect(refusal(Buffer.from(bytes))).toEqual({ code: 'invalid_encoding', at: `byte ${at}` })
})

test('decoding agrees with the strict decoder of the platform on every sequence of bytes', () => {
  const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  const byte = fc.oneof(fc.integer({ min: 0, max: 255 }), fc.constantFrom(0x22, 0x5c, 0x7f, 0xc3, 0xa4))
  fc.assert(
    fc.property(fc.array(byte, { minLength: 1, maxLength: 24 }), (bytes) => {
      const body = Buffer.from(bytes)
      let expected: string | undefined
      try {
        expected = strict.decode(body)
      } catch {
        expect(refusal(body)?.code).toBe('invalid_encoding')
        return
      }
      if (expected.startsWith('\ufeff')) return
      const { text, printable } = decodeJson(body)
      expect(text).toBe(expected)
      expect(printable).toBe([...expected].every((char) => char < '\u007f' && char !== '\\'))
    }),
    { numRuns: 3_000 },
  )
})

test('every quotation mark is counted once, wherever the body lies in memory', () => {
  const byte = fc.oneof(fc.constant(0x22), fc.constantFrom(0x23, 0xa2, 0x21, 0x00), fc.nat({ max: 255 }))
  fc.assert(
    fc.property(fc.array(byte, { maxLength: 64 }), fc.nat({ max: 7 }), (bytes, offset) => {
      const memory = Buffer.concat([Buffer.alloc(offset, '"'), Buffer.from(bytes), Buffer.alloc(9, '"')])
      const body = memory.subarray(offset, offset + bytes.length)
      expect(countQuotes(body)).toBe(bytes.filter((value) => value === 0x22).length)
    }),
  )
  expect(countQuotes(Buffer.alloc(100_003, '"'))).toBe(100_003)
  expect(countQuotes(Buffer.alloc(100_003, '!'))).toBe(0)
})
