import { PassThrough, Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { TallyError } from '../core/errors.ts'
import { type ReadBodyOptions, readBody } from './body.ts'

const PLAIN: ReadBodyOptions = { encoding: undefined, contentLength: undefined, limitBytes: 1_000 }

function read(payload: Readable, options: Partial<ReadBodyOptions> = {}): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    readBody(payload, { ...PLAIN, ...options }, (error, body) => {
      if (error !== null) reject(error)
      else resolve(body ?? Buffer.from('no body'))
    })
  })
}

async function codeOf(reading: Promise<Buffer>): Promise<string> {
  return reading.then(
    () => 'read',
    (error: TallyError) => error.code,
  )
}

describe('a body', () => {
  test('is the same bytes, however it is cut and whether or not it is packed', async () => {
    const chunks = fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 10 })
    await fc.assert(
      fc.asyncProperty(chunks, fc.boolean(), async (parts, isPacked) => {
        const whole = Buffer.concat(parts)
        const pieces = isPacked ? cut(gzipSync(whole)) : parts.map((part) => Buffer.from(part))
        const body = await read(Readable.from(pieces, { objectMode: false }), {
          encoding: isPacked ? 'gzip' : undefined,
        })
        expect(body.equals(whole)).toBe(true)
      }),
    )
  })

  test('of one chunk is handed on without a copy', async () => {
    const payload = new PassThrough()
    const chunk = Buffer.from('{"counter":"clicks"}')
    const reading = read(payload)
    payload.end(chunk)
    expect(await reading).toBe(chunk)
  })

  test.each([
    [1_000, 'read'],
    [1_001, 'body_too_large'],
  ])('of %i bytes is %s at a limit of 1,000, packed or not', async (bytes, expected) => {
    expect(await codeOf(read(Readable.from(cut(Buffer.alloc(bytes)))))).toBe(expected)
    expect(await codeOf(read(Readable.from(cut(gzipSync(Buffer.alloc(bytes)))), { encoding: 'GZIP' }))).toBe(
      expected,
    )
  })

  test('that announces too many bytes is refused before the first of them', async () => {
    const payload = new PassThrough()
    expect(await codeOf(read(payload, { contentLength: '1001' }))).toBe('body_too_large')
  })

  test('that is refused is read to its end and dropped, so that the client can hear why', async () => {
    const payload = new PassThrough()
    const reading = read(payload)
    payload.write(Buffer.alloc(2_000))
    expect(await codeOf(reading)).toBe('body_too_large')
    payload.write(Buffer.alloc(1_000_000))
    payload.end()
    await new Promise((resolve) => payload.once('end', resolve))
  })

  test('whose connection is lost is an error, once, packed or not', async () => {
    for (const encoding of [undefined, 'gzip']) {
      const payload = new PassThrough()
      let calls = 0
      const reading = new Promise<string>((resolve) => {
        readBody(payload, { ...PLAIN, encoding }, (error) => {
          calls++
          resolve(error?.code ?? 'read')
        })
      })
      payload.write(gzipSync('half of it').subarray(0, 12))
      payload.destroy(new Error('aborted'))
      expect(await reading).toBe('bad_request')
      await new Promise((resolve) => setTimeout(resolve, 10))
      expect(calls).toBe(1)
    }
  })

  test('with a damaged or cut gzip stream, or an unknown coding, is refused by name', async () => {
    const packed = gzipSync('x'.repeat(500))
    const cutOff = Readable.from([packed.subarray(0, -4)], { objectMode: false })
    expect(await codeOf(read(cutOff, { encoding: 'gzip' }))).toBe('bad_request')
    expect(await codeOf(read(Readable.from(['plain']), { encoding: 'gzip' }))).toBe('bad_request')
    expect(await codeOf(read(Readable.from(['plain']), { encoding: 'zstd' }))).toBe('unsupported_encoding')
  })
})

/** Into pieces of a hundred bytes. */
function cut(whole: Buffer): Buffer[] {
  return Array.from({ length: Math.ceil(whole.length / 100) }, (_, index) =>
    whole.subarray(index * 100, (index + 1) * 100),
  )
}
