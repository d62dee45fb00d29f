import { expect, test } from 'vitest'
import { TallyError } from '../core/errors.ts'
import { type RequestIdentity, readIdempotency } from './idempotency.ts'

const REQUEST: RequestIdentity = {
  principal: 'key:a',
  method: 'POST',
  path: '/v1/events',
  contentType: 'application/json',
  rawHeaders: [],
  body: Buffer.from('{}'),
}

test.each([
  ['a', 'a'],
  ['"a"', 'a'],
  ['"a\\"b"', 'a"b'],
  ['0192f3a1-7c3e-7abc-9def-0123456789ab', '0192f3a1-7c3e-7abc-9def-0123456789ab'],
  ['x'.repeat(256), 'x'.repeat(256)],
])('the header %s is the key %s', (header, key) => {
  expect(readIdempotency(header, REQUEST).key).toBe(`key:a\n${key}`)
})

test.each(['', '""', '"', '"a', '"a"b', '"a";p=1', 'a b', 'a, b', 'ä', 'a\u0000', 'x'.repeat(257), '"a\\n"'])(
  'the header %j is refused',
  (header) => {
    const run = () => readIdempotency(header, REQUEST)
    expect(run).toThrow(TallyError)
    expect(run).toThrow(expect.objectContaining({ code: 'invalid_idempotency_key' }))
  },
)

test('the same key of another principal is another key', () => {
  const { key } = readIdempotency('a', REQUEST)
  expect(readIdempotency('a', { ...REQUEST, principal: 'key:b' }).key).not.toBe(key)
})

test('whatever decides what is counted decides the fingerprint, and nothing else does', () => {
  const print = (more: Partial<RequestIdentity>) => readIdempotency('a', { ...REQUEST, ...more }).fingerprint
  const first = print({})
  expect(print({ rawHeaders: ['date', 'now'] })).toBe(first)
  const others = [
    { method: 'PUT' },
    { path: '/v1/counters/clicks/7' },
    { contentType: 'application/x-ndjson' },
    { body: Buffer.from('{ }') },
    { body: undefined },
    { rawHeaders: ['CE-Id', '1'] },
  ]
  const prints = new Set([first, ...others.map(print)])
  expect(prints.size).toBe(others.length + 1)
  const both = ['ce-id', '1', 'ce-type', 't']
  expect(print({ rawHeaders: [...both.slice(2), ...both.slice(0, 2)] })).toBe(print({ rawHeaders: both }))
  expect(print({ rawHeaders: ['ce-id', '2', 'ce-type', 't'] })).not.toBe(print({ rawHeaders: both }))
})
