import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { OPTIONS } from './options.ts'
import { loadSettings } from './settings.ts'
import { settingsTable } from './settings-page.ts'

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')

test('docs/settings.md has the table that the options make', () => {
  expect(read('docs/settings.md')).toContain(settingsTable())
})

test('tally.example.yaml is right, names every key, and says what applies without it', () => {
  const text = read('tally.example.yaml')
  for (const { key } of Object.values(OPTIONS)) expect(text).toMatch(new RegExp(`^(# )?${key}:`, 'm'))
  const file = new URL('../../tally.example.yaml', import.meta.url).pathname
  expect(loadSettings({ env: {}, file })).toEqual(loadSettings({ env: {} }))
})
