import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { TallyError } from '../core/errors.ts'
import { JSON_DEPTH_MAX } from '../core/limits.ts'
import { checkJson, pointer } from './json-check.ts'

function refusal(text: string, place = {}): TallyError | undefined {
  try {
    checkJson(text, place)
    return undefined
  } catch (error) {
    if (error instanceof TallyError) return error
    throw error
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

describe('what JSON.parse refuses is refused as malformed, and nothing else is', () => {
  const bits = ['{', '}', '[', ']', ':', ',', '"', '\\', '\\u00', 'e', 'E', '+', '-', '.', '0', '1', '07']
  const more = ['true', 'nul', 'null', ' ', '\n', '\t', '\u00a0', '\u0000', '"a"', '"a":', '\\n', '/', "'"]
  const soup = fc.array(fc.constantFrom(...bits, ...more), { maxLength: 10 }).map((all) => all.join(''))
  const cut = fc
    .tuple(fc.json(), fc.nat(), fc.constantFrom('', ...bits, ...more))
    .map(([text, at, insert]) => text.slice(0, at % text.length) + insert + text.slice(at % text.length))

  test.each([
    ['token soup', soup],
    ['broken JSON', cut],
    ['any JSON', fc.json()],
    ['any text', fc.string({ unit: 'binary' })],
  ])('%s', (_name, texts) => {
    fc.assert(
      fc.property(texts, (text) => {
        const code = refusal(text)?.code
        // Texts JSON.parse takes may still be refused, but for another reason.
        if (isJson(text)) expect(code).not.toBe('malformed_json')
        else expect(code).toBeDefined()
      }),
      { numRuns: 3_000 },
    )
  })
})

test.each([
  ['{"a":1,"a":2}', '/a'],
  ['{"a":1,"\\u0061":2}', '/a'],
  ['[1,{"b":{"x/y":1,"z":[],"x/y":1}}]', '/1/b/x~1y'],
  ['{"__proto__":1,"__proto__":2}', '/__proto__'],
  ['{"":1,"":1}', '/'],
])('a duplicate member is found and named: %s', (text, at) => {
  const error = refusal(text)
  expect(error?.code).toBe('duplicate_member')
  expect(error?.detail.at).toBe(at)
})

test('the same name in two objects is no duplicate', () => {
  expect(refusal('[{"a":{"a":1}},{"a":1}]')).toBeUndefined()
})

test('nesting is taken to the limit and refused one level deeper, also a million levels deeper', () => {
  const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth)
  expect(refusal(nested(JSON_DEPTH_MAX))).toBeUndefined()
  expect(refusal(nested(JSON_DEPTH_MAX + 1))?.code).toBe('nesting_too_deep')
  expect(refusal('['.repeat(1_000_000))?.code).toBe('nesting_too_deep')
  expect(refusal('{"a":'.repeat(1_000_000))?.code).toBe('nesting_too_deep')
})

test('the place of an error is a line and a column, both from 1', () => {
  expect(refusal('{\n  "a": tru\n}')?.detail.at).toBe('line 2, column 8')
  expect(refusal('')?.detail.at).toBe('line 1, column 1')
  expect(refusal('[1,2')?.detail).toMatchObject({ at: 'line 1, column 5', got: 'the end of the text' })
})

test('inside a batch the error names the index of its event', () => {
  expect(refusal('[{},{},{"a":}]')?.detail.index).toBe(2)
  expect(refusal('[{},{"a":1,"a":1}]')?.detail).toMatchObject({ at: '/1/a', index: 1 })
})

test('in NDJSON the error names its line', () => {
  expect(refusal('{"a":1,"a":1}', { line: 7, index: 5 })?.detail).toMatchObject({
    at: 'line 7: /a',
    index: 5,
  })
  expect(refusal('{"a"', { line: 7, index: 5 })?.detail.at).toBe('line 7, column 5')
})

test('a pointer escapes its segments and cuts what is too long', () => {
  expect(pointer(['a/b', 0, 'm~n'])).toBe('/a~1b/0/m~0n')
  expect(pointer(['x'.repeat(500)])).toHaveLength(82)
})
