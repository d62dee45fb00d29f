import { readFileSync, writeFileSync } from 'node:fs'
import { CLIENT_OPTIONS, OPTIONS, type Option } from '../src/settings/options.ts'
import { secretFileFlag } from '../src/settings/settings.ts'

const START = '<!-- settings: made by `npm run docs` from src/settings/options.ts -->'
const END = '<!-- end of settings -->'

/** The page with its tables made anew from the option table; the rest of it stays as it is. */
export function withSettings(page: string): string {
  const start = page.indexOf(START)
  const end = page.indexOf(END)
  if (start < 0 || end < start) throw new Error('the page lacks the marks between which the tables stand')
  const tables = [
    table(
      ['key in the file', 'variable', 'flag', 'default', 'what it is'],
      Object.values(OPTIONS).map(settingRow),
    ),
    'And for the commands that call a server:',
    table(
      ['variable', 'flag', 'what it is'],
      Object.values(CLIENT_OPTIONS).map((option) =>
        settingRow(option).filter((_, index) => index !== 0 && index !== 3),
      ),
    ),
  ]
  return `${page.slice(0, start)}${START}\n\n${tables.join('\n\n')}\n\n${page.slice(end)}`
}

function settingRow(option: Option<never> | Option<unknown>): string[] {
  const { key, env, flag, placeholder, fallbackText, help, isSecret } = option
  const flags = isSecret
    ? `\`${secretFileFlag(option as Option<unknown>)} FILE\``
    : `\`${flag} ${placeholder}\``
  const variables = isSecret ? `\`${env}\` or \`${env}_FILE\`` : `\`${env}\``
  return [`\`${key}\``, variables, flags, fallbackText === '' ? '' : `\`${fallbackText}\``, help]
}

function table(heads: readonly string[], rows: readonly string[][]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(heads), line(heads.map(() => '---')), ...rows.map(line)].join('\n')
}

if (import.meta.main) {
  const file = new URL('../docs/configuration.md', import.meta.url)
  writeFileSync(file, withSettings(readFileSync(file, 'utf8')))
}
