import { describe, expect, test } from 'vitest'
import type { Counter } from '../core/counter.ts'
import { TallyError } from '../core/errors.ts'
import { KEY_CHARS_MAX } from '../core/limits.ts'
import { readBatch, readBinary, readStructured } from './cloudevent-body.ts'
import type { Arrival } from './event-body.ts'

const NOW_MS = Date.UTC(2026, 10, 21, 4)

function counter(name: string, cloudEvents?: Counter['cloudEvents']): [string, Counter] {
  const mapping = cloudEvents === undefined ? {} : { cloudEvents }
  return [name, { name, from: 'events', series: 'minute', ...mapping }]
}

const COUNTERS = new Map([
  counter('clicks', { type: 'banner.clicked', key: 'subject' }),
  counter('spent', { type: 'order.paid', key: 'data.customer.id', delta: 'data.total' }),
  counter('orders', { type: 'order.paid', key: 'data.shop' }),
  counter('plain'),
])

function arrival(): Arrival {
  return { counters: COUNTERS, nowMs: NOW_MS, events: 1 }
}

const CLICK = { specversion: '1.0', id: 'a-1', source: '/web', type: 'banner.clicked', subject: '7' }
const PAID = {
  ...CLICK,
  type: 'order.paid',
  data: { customer: { id: 42 }, total: -3, shop: 'north' },
}

function structured(event: unknown) {
  return readStructured(Buffer.from(JSON.stringify(event)), arrival())
}

function refusal(run: () => unknown): { code: string; at: string | undefined; index: number | undefined } {
  try {
    run()
  } catch (error) {
    if (error instanceof TallyError)
      return { code: error.code, at: error.detail.at, index: error.detail.index }
    throw error
  }
  throw new Error('nothing was refused')
}

describe('structured', () => {
  test('an event feeds the counter that names its type, under its source and id together', () => {
    expect(structured({ ...CLICK, time: '2026-11-21T03:00:00+01:00' })).toEqual([
      { counter: 'clicks', key: '7', delta: 1, timeMs: NOW_MS - 7_200_000, id: '/web\u0000a-1' },
    ])
  })

  test('an event feeds every counter that names its type; key and delta come from the data', () => {
    expect(structured(PAID)).toEqual([
      { counter: 'spent', key: '42', delta: -3, timeMs: NOW_MS, id: '/web\u0000a-1' },
      { counter: 'orders', key: 'north', delta: 1, timeMs: NOW_MS, id: '/web\u0000a-1' },
    ])
  })

  test('the identity of an event is no id that a plain event could have', () => {
    const [event] = structured(CLICK)
    expect(event?.id).toContain('\u0000')
  })

  test('an attribute that is null is unset, an extension may be of each type', () => {
    expect(
      structured({ ...CLICK, time: null, dataschema: null, ext1: 'x', ext2: 7, ext3: true, ext4: '' }),
    ).toHaveLength(1)
    expect(refusal(() => structured({ ...CLICK, id: null })).at).toBe('/id')
  })

  test('data in base64 is looked into if it is JSON', () => {
    const { data, ...rest } = PAID
    const encoded = Buffer.from(JSON.stringify(data)).toString('base64')
    expect(structured({ ...rest, data_base64: encoded })).toEqual(structured(PAID))
    const xml = { ...rest, data_base64: encoded, datacontenttype: 'application/xml' }
    expect(refusal(() => structured(xml)).at).toBe('/data/customer/id')
    const broken = { ...rest, data_base64: Buffer.from('{"a"').toString('base64') }
    expect(refusal(() => structured(broken)).at).toBe('/data_base64')
  })

  test.each([
    ['application/json', true],
    ['application/json; charset=utf-8', true],
    ['application/vnd.order+json', true],
    ['text/JSON', true],
    ['application/xml', false],
    ['application/jsonx', false],
  ])('data of type %s is JSON: %s', (datacontenttype, isJson) => {
    const read = () => structured({ ...PAID, datacontenttype })
    if (isJson) expect(read()).toHaveLength(2)
    else expect(refusal(read).at).toBe('/data/customer/id')
  })

  const without = (name: string) => Object.fromEntries(Object.entries(PAID).filter(([key]) => key !== name))
  test.each<[string, unknown, string]>([
    ['no specversion', without('specversion'), '/specversion'],
    ['another version', { ...CLICK, specversion: '0.3' }, '/specversion'],
    ['a version that is a number', { ...CLICK, specversion: 1.0 }, '/specversion'],
    ['no id', without('id'), '/id'],
    ['an empty id', { ...CLICK, id: '' }, '/id'],
    ['an id that is a number', { ...CLICK, id: 7 }, '/id'],
    ['an id with NUL', { ...CLICK, id: 'a\u0000b' }, '/id'],
    ['no source', without('source'), '/source'],
    ['an empty source', { ...CLICK, source: '' }, '/source'],
    ['a source with a space', { ...CLICK, source: '/a b' }, '/source'],
    ['a source with half an escape', { ...CLICK, source: '/a%2' }, '/source'],
    ['a source with two fragments', { ...CLICK, source: '/a#b#c' }, '/source'],
    ['a source whose scheme is none', { ...CLICK, source: '1a:b' }, '/source'],
    ['no type', without('type'), '/type'],
    ['an empty type', { ...CLICK, type: '' }, '/type'],
    ['a type no counter names', { ...CLICK, type: 'banner.seen' }, '/type'],
    ['an empty subject', { ...CLICK, subject: '' }, '/subject'],
    ['no subject where it is the key', { ...CLICK, subject: null }, '/subject'],
    ['a subject too long for a key', { ...CLICK, subject: 'x'.repeat(KEY_CHARS_MAX + 1) }, '/subject'],
    ['a time that is none', { ...CLICK, time: 'yesterday' }, '/time'],
    ['a time in 2999', { ...CLICK, time: '2999-01-01T00:00:00Z' }, '/time'],
    ['an empty time', { ...CLICK, time: '' }, '/time'],
    ['a relative schema', { ...CLICK, dataschema: '/schema' }, '/dataschema'],
    ['a media type that is none', { ...CLICK, datacontenttype: 'json' }, '/datacontenttype'],
    ['a capital in an extension', { ...CLICK, traceParent: 'x' }, '/traceParent'],
    ['an underscore in an extension', { ...CLICK, trace_parent: 'x' }, '/trace_parent'],
    ['an extension of 21 characters', { ...CLICK, ['x'.repeat(21)]: 'x' }, `/${'x'.repeat(21)}`],
    ['an extension that is an object', { ...CLICK, ext: {} }, '/ext'],
    ['an extension that is a fraction', { ...CLICK, ext: 1.5 }, '/ext'],
    ['an extension beyond 32 bits', { ...CLICK, ext: 2 ** 31 }, '/ext'],
    ['an extension with a control character', { ...CLICK, ext: 'a\u0007' }, '/ext'],
    ['data twice', { ...PAID, data_base64: 'AAAA' }, '/data_base64'],
    ['data that is not base64', { ...CLICK, data_base64: 'a-b=' }, '/data_base64'],
    ['data in base64 that is a number', { ...CLICK, data_base64: 7 }, '/data_base64'],
    ['a key that is an object', { ...PAID, data: { customer: { id: {} } } }, '/data/customer/id'],
    ['a key that is a fraction', { ...PAID, data: { customer: { id: 1.5 } } }, '/data/customer/id'],
    ['a key only inherited', { ...PAID, data: { customer: [] } }, '/data/customer/id'],
    ['a fraction as delta', { ...PAID, data: { ...PAID.data, total: 1.5 } }, '/data/total'],
    ['no delta', { ...PAID, data: { customer: { id: 1 }, shop: 's' } }, '/data/total'],
    ['no data', without('data'), '/data/customer/id'],
    ['data null', { ...PAID, data: null }, '/data/customer/id'],
    ['an array', [CLICK], ''],
    ['a string', 'event', ''],
  ])('refused: %s', (_name, event, at) => {
    expect(refusal(() => structured(event))).toEqual({ code: 'invalid_cloudevent', at, index: undefined })
  })

  test('__proto__ is no attribute and changes nothing', () => {
    const text = `{"__proto__":{"id":"b"},${JSON.stringify(CLICK).slice(1)}`
    expect(refusal(() => readStructured(Buffer.from(text), arrival())).at).toBe('/__proto__')
  })

  test('a member named twice is refused, also inside the data', () => {
    const text = JSON.stringify(PAID).replace('"total":', '"total":1,"total":')
    expect(refusal(() => readStructured(Buffer.from(text), arrival()))).toMatchObject({
      code: 'duplicate_member',
      at: '/data/total',
    })
  })

  test.each([
    '/web',
    'https://example.org/a?b=c#d',
    'urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66',
    'mailto:a@example.org',
    'sensors/tn-1234567/alerts',
    '//host/path',
    '#fragment',
    '?a:b',
    'a%20b',
  ])('a source may be any URI-reference: %s', (source) => {
    expect(structured({ ...CLICK, source })).toHaveLength(1)
  })
})

describe('batch', () => {
  const batch = (events: unknown) => readBatch(Buffer.from(JSON.stringify(events)), arrival())

  test('a batch is all its events; it may be empty', () => {
    expect(batch([CLICK, { ...CLICK, id: 'a-2' }])).toHaveLength(2)
    expect(batch([])).toEqual([])
  })

  test('one bad event refuses the batch and is named', () => {
    expect(refusal(() => batch([CLICK, { ...CLICK, id: '' }]))).toEqual({
      code: 'invalid_cloudevent',
      at: '/1/id',
      index: 1,
    })
  })

  test('versions are not mixed', () => {
    expect(refusal(() => batch([CLICK, { ...CLICK, specversion: '1.1' }])).at).toBe('/1/specversion')
  })

  test('one event alone is no batch', () => {
    expect(refusal(() => batch(CLICK)).code).toBe('invalid_cloudevent')
  })

  test('what events feed counts towards the limit, not only what was sent', () => {
    const paid = (count: number) => Array.from({ length: count }, (_, id) => ({ ...PAID, id: String(id) }))
    expect(batch(paid(5_000))).toHaveLength(10_000)
    expect(refusal(() => batch(paid(5_001))).code).toBe('too_many_events')
  })
})

describe('binary', () => {
  const HEADERS = ['ce-specversion', '1.0', 'CE-ID', 'a-1', 'ce-source', '/web', 'ce-type', 'banner.clicked']
  const CLICKED = [...HEADERS, 'ce-subject', '7']
  const binary = (rawHeaders: readonly string[], body?: string) =>
    readBinary(body === undefined ? undefined : Buffer.from(body), arrival(), rawHeaders)

  test('attributes are headers; a body that no counter looks into is not read', () => {
    expect(binary([...CLICKED, 'content-type', 'image/png', 'accept', '*/*'], '\u0000')).toEqual(
      structured(CLICK),
    )
    expect(binary(CLICKED)).toEqual(structured(CLICK))
  })

  test('the body is the data', () => {
    const headers = ['ce-specversion', '1.0', 'ce-id', 'a-1', 'ce-source', '/web', 'ce-type', 'order.paid']
    const json = [...headers, 'content-type', 'application/json']
    expect(binary(json, JSON.stringify(PAID.data))).toEqual(structured(PAID))
    expect(refusal(() => binary(json, '{"customer":'))).toMatchObject({ code: 'invalid_cloudevent', at: '' })
    expect(refusal(() => binary(json, '{"customer":{}}')).at).toBe('/customer/id')
    expect(refusal(() => binary([...headers, 'content-type', 'text/plain'], '{}')).at).toBe('/customer/id')
  })

  test.each([
    ['Euro%20%E2%82%AC%20%F0%9F%98%80', 'Euro € 😀'],
    ['"quoted \\"text\\""', 'quoted "text"'],
    ['%22', '"'],
    ['plain text', 'plain text'],
    ['%e2%82%ac%41', '€A'],
  ])('a header %s reads %s', (subject, key) => {
    expect(binary([...HEADERS, 'ce-subject', subject])[0]?.key).toBe(key)
  })

  test.each([
    ['an overlong sequence', [...HEADERS, 'ce-subject', '%C0%A0'], 'header ce-subject'],
    ['half an escape', [...HEADERS, 'ce-subject', '%2'], 'header ce-subject'],
    ['bytes beyond ASCII', [...HEADERS, 'ce-subject', 'ä'], 'header ce-subject'],
    ['an encoded control character', [...HEADERS, 'ce-subject', '%00'], 'header ce-subject'],
    ['an empty header', [...HEADERS, 'ce-subject', ''], 'header ce-subject'],
    ['an attribute twice', [...CLICKED, 'Ce-Subject', '8'], 'header ce-subject'],
    ['no version', CLICKED.slice(2), 'header ce-specversion'],
    ['no id', [...CLICKED.slice(0, 2), ...CLICKED.slice(4)], 'header ce-id'],
    ['the media type twice', [...CLICKED, 'ce-datacontenttype', 'text/plain'], 'header ce-datacontenttype'],
    ['data as a header', [...CLICKED, 'ce-data', '{}'], ''],
    ['a name with a hyphen', [...CLICKED, 'ce-trace-parent', 'x'], 'header ce-trace-parent'],
  ])('refused: %s', (_name, headers, at) => {
    expect(refusal(() => binary(headers))).toMatchObject({ code: 'invalid_cloudevent', at })
  })
})
