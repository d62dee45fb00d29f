import { expect, test } from 'vitest'
import { IMPORT_BLOCK_RECORDS } from '../../core/limits.ts'
import { LineIds } from './line-ids.ts'

const TIME_MS = Date.UTC(2015, 4, 17, 10, 5, 3)
const WHAT = ['', 'combined', 'clicks', 'path', '']

function idsOf(lines: readonly string[], what: readonly string[] = WHAT): string[] {
  const ids = new LineIds(what)
  return lines.map((line) => ids.next(line, TIME_MS))
}

test('equal lines of a file have ids of their own', () => {
  expect(new Set(idsOf(['a', 'b', 'a', 'a', 'b'])).size).toBe(5)
})

test('the same file read again has the same ids', () => {
  const lines = ['a', 'b', 'a', 'c']
  expect(idsOf(lines)).toEqual(idsOf(lines))
})

test('a file that was appended to keeps the ids of its old lines', () => {
  const before = ['a', 'b', 'a']
  expect(idsOf([...before, 'a', 'c']).slice(0, 3)).toEqual(idsOf(before))
})

test('removing or mending a line leaves the ids of the others', () => {
  const before = idsOf(['a', 'bad', 'a', 'c'])
  expect(idsOf(['a', 'a', 'c'])).toEqual([before[0], before[2], before[3]])
  expect(idsOf(['a', 'good', 'a', 'c']).filter((id) => before.includes(id))).toHaveLength(3)
})

test('equal lines of files that begin differently are different events', () => {
  const first = idsOf(['first of one', 'GET /health'])
  const second = idsOf(['first of the other', 'GET /health'])
  expect(first.filter((id) => second.includes(id))).toEqual([])
})

test.each([
  ['another source', ['web2', 'combined', 'clicks', 'path', '']],
  ['another counter', ['', 'combined', 'visits', 'path', '']],
  ['another key', ['', 'combined', 'clicks', 'ip', '']],
  ['another delta', ['', 'combined', 'clicks', 'path', 'bytes']],
])('the same line counted for %s is another event', (_what, what) => {
  expect(idsOf(['a'], what)).not.toEqual(idsOf(['a']))
})

test('ids have the layout of UUID version 7 and begin with the time', () => {
  const [id = ''] = idsOf(['a'])
  expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  expect(Number.parseInt(id.replace('-', '').slice(0, 12), 16)).toBe(TIME_MS)
})

test('without a time an id does not depend on the clock', () => {
  const id = new LineIds(WHAT).next('a', undefined)
  expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab]/)
  expect(new LineIds(WHAT).next('a', undefined)).toBe(id)
})

test('equal lines stay different over the borders of blocks', () => {
  const ids = new LineIds(WHAT)
  const all = new Set<string>()
  const records = IMPORT_BLOCK_RECORDS * 2 + 10
  for (let record = 0; record < records; record++) all.add(ids.next('the same', TIME_MS))
  expect(all.size).toBe(records)
})
