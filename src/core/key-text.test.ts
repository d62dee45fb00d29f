import fc from 'fast-check'
import { expect, test } from 'vitest'
import { textFlaw, textPattern } from './key-text.ts'

const CHARS_MAX = 8
const pattern = new RegExp(textPattern(CHARS_MAX), 'u')

test.each([
  ['', 'is empty'],
  ['123456789', 'has more than 8 characters'],
  ['a\u0000', 'has a control character'],
  ['a\u007f', 'has a control character'],
  ['a\u0085', 'has a control character'],
  ['a\ud800', 'has a lone surrogate'],
  ['\udc00a', 'has a lone surrogate'],
])('%j is refused: it %s', (text, flaw) => {
  expect(textFlaw(text, CHARS_MAX)).toBe(flaw)
})

test('eight characters beyond the basic plane are eight characters, nine are too many', () => {
  expect(textFlaw('😀'.repeat(8), CHARS_MAX)).toBeUndefined()
  expect(textFlaw('😀'.repeat(9), CHARS_MAX)).toBe('has more than 8 characters')
})

test('the published pattern and the check agree on every text', () => {
  const unit = fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code))
  const edge = fc.constantFrom('\u0000', '\u001f', ' ', '~', '\u007f', '\u009f', '\u00a0', '\ud83d', '\ude00')
  const text = fc.array(fc.oneof(unit, edge, fc.constant('😀')), { maxLength: 12 }).map((all) => all.join(''))
  fc.assert(
    fc.property(text, (sample) => {
      expect(textFlaw(sample, CHARS_MAX) === undefined).toBe(pattern.test(sample))
    }),
    { numRuns: 2_000 },
  )
})
