import { describe, expect, test } from 'vitest'
import { acceptedType } from './accepted-type.ts'

describe('acceptedType', () => {
  test.each([
    [undefined, 'json'],
    ['', 'json'],
    ['*/*', 'json'],
    ['application/json', 'json'],
    ['text/csv', 'csv'],
    ['TEXT/CSV; charset=utf-8', 'csv'],
    ['text/*', 'csv'],
    ['text/csv, application/json', 'json'],
    ['text/csv, application/json;q=0.9', 'csv'],
    ['text/csv;q=0.5, */*;q=0.1', 'csv'],
    ['*/*;q=0.9, text/csv;q=0', 'json'],
    ['text/html,application/xhtml+xml,*/*;q=0.8', 'json'],
  ])('%j gets %s', (accept, type) => {
    expect(acceptedType(accept)).toBe(type)
  })

  test.each(['image/png', 'application/json;q=0', 'text/html, text/csv;q=0.0', ';;,,;q=', 'json'])(
    '%j is not acceptable',
    (accept) => {
      expect(() => acceptedType(accept)).toThrow(/None/)
    },
  )
})
