import { OPTIONS, type Option } from './options.ts'
import { secretFileFlag } from './settings.ts'

/** The table of docs/settings.md, made of the option table; a test holds the page to it. */
export function settingsTable(): string {
  const rows = (Object.values(OPTIONS) as unknown as Option<never>[]).map((option) => {
    const { key = '', env, flag, fallbackText, help, isSecret } = option
    const variable = isSecret ? `\`${env}\`, \`${env}_FILE\`` : `\`${env}\``
    const fallback = fallbackText === '' ? '' : `\`${fallbackText}\``
    return `| \`${key}\` | ${variable} | \`${flag ?? secretFileFlag(option)}\` | ${fallback} | ${help.replaceAll('|', '\\|')} |`
  })
  return ['| key | variable | flag | default | what it does |', '|---|---|---|---|---|', ...rows].join('\n')
}
