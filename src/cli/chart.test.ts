import { expect, test } from 'vitest'
import { drawChart } from './chart.ts'

const buckets = (...counts: number[]) => counts.map((count, index) => ({ label: `t${index}`, count }))

const chart = (counts: number[], columns: number, rows: number) =>
  drawChart(buckets(...counts), { columns, rows }).split('\n')

test('columns are as high as their counts, and the smallest still shows', () => {
  expect(chart([1, 2, 4, 0, 8], 15, 4)).toEqual([
    '8 ┤        ██',
    '  │        ██',
    '  │    ██  ██',
    '  │▄▄████  ██',
    '0 ┼──────────',
    '   t0  t2  t4',
  ])
  expect(chart([1_000, 1], 30, 2)).toEqual([
    '1,000 ┤████',
    '      │████▁▁▁▁',
    '    0 ┼────────',
    '       t0  t1',
  ])
})

test('counts below zero hang below the axis', () => {
  expect(chart([3, -2, 5, -5], 20, 4)).toEqual([
    ' 5 ┤▂▂▂▂    ████',
    '   │████    ████',
    ' 0 ┼────────────────',
    '   │    ████    ████',
    '-5 ┤            ████',
    '    t0  t1  t2  t3',
  ])
})

test('nothing counted is an axis', () => {
  expect(chart([0, 0], 20, 4)).toEqual(['0 ┼────────', '   t0  t1'])
})

test('more buckets than columns are summed, none is left out, and no line is wider than asked', () => {
  const counts = Array.from({ length: 100 }, (_, index) => index)
  const lines = chart(counts, 40, 3)
  expect(lines.at(-1)?.trim()).toBe('each column is 4 buckets')
  expect(lines[0]).toMatch(/^390 ┤ .*█$/)
  for (const columns of [30, 40, 80, 200]) {
    for (const line of chart(counts, columns, 5)) expect(line.length).toBeLessThanOrEqual(columns)
  }
})
