import { Readable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { readCsv } from './csv.ts'
import type { Fields, ImportRecord } from './format.ts'
import { readNdjson } from './ndjson.ts'

const EVENT_FIELDS: Fields = { counter: undefined, key: 'key', time: undefined, delta: undefined }

async function all(records: AsyncGenerator<ImportRecord[]>): Promise<ImportRecord[]> {
  const found: ImportRecord[] = []
  for await (const part of records) found.push(...part)
  return found
}

const ndjson = (text: string, fields: Partial<Fields> = {}) =>
  all(readNdjson(Readable.from([Buffer.from(text)]), { ...EVENT_FIELDS, ...fields }))

const csv = (text: string | Buffer, fields: Partial<Fields> = {}, delimiter = ',') =>
  all(
    readCsv(Readable.from([Buffer.from(text)]), { ...EVENT_FIELDS, counter: 'clicks', ...fields }, delimiter),
  )

describe('NDJSON', () => {
  test('a line is an event as the API takes it', async () => {
    const [record] = await ndjson(
      '{"counter":"clicks","key":"7","delta":-2,"id":"a1","time":"2026-01-01T00:00:00Z"}',
    )
    expect(record?.found).toEqual({
      counter: 'clicks',
      key: '7',
      delta: -2,
      id: 'a1',
      timeMs: Date.UTC(2026, 0, 1),
    })
  })

  test('fields can be members further inside, and numbers', async () => {
    const fields = { counter: 'sold', key: 'product.id', delta: 'pieces', time: 'at' }
    const [record] = await ndjson(
      '{"product":{"id":7},"pieces":3,"at":1767225600,"counter":"other"}\n',
      fields,
    )
    expect(record?.found).toMatchObject({ counter: 'sold', key: '7', delta: 3, timeMs: Date.UTC(2026, 0, 1) })
  })

  test('times are seconds or milliseconds since the epoch by their size', async () => {
    const [seconds, milliseconds] = await ndjson(
      '{"key":"a","time":1767225600}\n{"key":"a","time":1767225600000}\n',
      { counter: 'c' },
    )
    expect(seconds?.found?.timeMs).toBe(milliseconds?.found?.timeMs)
  })

  test.each([
    ['{"key":"a"', /not JSON/],
    ['["a"]', /no JSON object/],
    ['7', /no JSON object/],
    ['{"id":"a"}', /key is missing/],
    ['{"key":""}', /the key is empty/],
    ['{"key":1.5}', /key is no text/],
    ['{"key":"\\u0000"}', /control character/],
    ['{"key":"\\ud800"}', /surrogate/],
    ['{"key":"a","delta":1.5}', /the delta/],
    ['{"key":"a","delta":1e300}', /the delta/],
    ['{"key":"a","id":""}', /the id is empty/],
    ['{"key":"a","id":{}}', /the id is no text/],
    ['{"key":"a","time":"yesterday"}', /the time/],
    ['{"key":"a","time":"1969-12-31T23:59:59Z"}', /before 1970/],
  ])('%s is skipped with its reason', async (line, reason) => {
    const [record] = await ndjson(line, { counter: 'clicks' })
    expect(record?.flaw).toMatch(reason)
  })

  test('without a counter each line has to name its own', async () => {
    expect((await ndjson('{"key":"a"}'))[0]?.flaw).toMatch(/counter is missing/)
  })

  test('inherited members are no members', async () => {
    const [record] = await ndjson('{"key":"a"}', { counter: 'clicks', key: 'constructor.name' })
    expect(record?.flaw).toMatch(/missing/)
  })
})

describe('CSV', () => {
  test('columns are found by their names, quoted ones too', async () => {
    const text =
      '\uFEFFproduct,paid at,pieces\r\n"a, ""b""",2026-01-01T00:00:00Z,3\r\n"two\nlines",2026-01-01T00:00:00Z,-1\r\nc,1767225600,+2'
    const records = await csv(text, { key: 'product', time: 'paid at', delta: 'pieces' })
    expect(records.map(({ found, flaw }) => [found?.key ?? flaw, found?.delta])).toEqual([
      ['a, "b"', 3],
      ['the key has a control character', undefined],
      ['c', 2],
    ])
    expect(records.map(({ line }) => line)).toEqual([2, 4, 5])
  })

  test('another delimiter can be named', async () => {
    expect((await csv('key;x\na;1\n', {}, ';'))[0]?.found?.key).toBe('a')
  })

  test('a missing column is a mistake of the command line, not of a record', async () => {
    await expect(csv('name,x\na,1\n')).rejects.toMatchObject({ exitCode: 2 })
  })

  test('damaged records are skipped, the others count', async () => {
    const records = await csv('key,x\na,1\nb,1,2\n,3\nc,4\n')
    expect(records.map(({ found, flaw }) => found?.key ?? flaw)).toEqual([
      'a',
      'the record has 3 columns, its head 2',
      'the key is empty',
      'c',
    ])
  })

  test.each(['key,x\na,1\n"b"b,2\nc,3\n', 'key,x\na,1\n"b,2\nc,3\n', 'key,x\na,1\nb"c,2\n'])(
    'a quote in the wrong place ends the import by name: %j',
    async (text) => {
      await expect(csv(text)).rejects.toMatchObject({
        exitCode: 1,
        message: expect.stringMatching(/Quote.*again/),
      })
    },
  )

  test('two keys that are no UTF-8 do not become one', async () => {
    const bytes = Buffer.concat([Buffer.from('key\n'), Buffer.from([0xe4, 0x0a, 0xf6, 0x0a])])
    expect((await csv(bytes)).map(({ flaw }) => flaw)).toEqual(Array(2).fill('the record is not valid UTF-8'))
  })
})
