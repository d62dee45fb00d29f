import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { TallyError } from '../core/errors.ts'
import { CLIENT_OPTIONS, OPTIONS } from './options.ts'
import { problemLine } from './problem.ts'
import { checkSettings, loadSettings, type SettingSources } from './settings.ts'

let folder = ''
let files = 0

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tally-settings-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

function write(text: string): string {
  files++
  const file = join(folder, `settings-${files}.yaml`)
  writeFileSync(file, text)
  return file
}

function check(text: string, sources: SettingSources = {}) {
  return checkSettings({ env: {}, file: write(text), ...sources })
}

/** The problems as lines, without the folder. */
function lines(text: string, sources: SettingSources = {}): string[] {
  return check(text, sources).problems.map((problem) =>
    problemLine(problem)
      .replaceAll(folder, '')
      .replace(/^\/settings-\d+\.yaml/, 'FILE'),
  )
}

describe('precedence', () => {
  test('a flag wins over a variable, a variable over the file, the file over the default', () => {
    const env = { TALLY_PORT: '2000', TALLY_HOST: '127.0.0.2' }
    const { settings, origins } = check('port: 3000\nhost: 127.0.0.3\nlogLevel: warn', {
      env,
      flags: { '--port': '1000' },
    })
    expect(settings).toMatchObject({ port: 1000, host: '127.0.0.2', logLevel: 'warn', auth: 'auto' })
    expect(origins).toMatchObject({ port: '--port', host: 'TALLY_HOST', auth: 'default' })
    expect(origins.logLevel).toMatch(/settings-\d+\.yaml:3$/)
  })

  test('without anything it starts on a file with one counter', () => {
    const settings = loadSettings({ env: {}, file: write('') })
    expect(settings).toMatchObject({ store: 'sqlite:./data/tally.db', host: '127.0.0.1', port: 8080 })
    expect([...settings.counters.keys()]).toEqual(['clicks'])
  })

  test('an empty variable counts as not set', () => {
    expect(loadSettings({ env: { TALLY_PORT: '' }, file: write('port: 3000') }).port).toBe(3000)
  })

  test('TALLY_CONFIG and --config name the file, which then must exist', () => {
    const file = write('port: 3000')
    expect(loadSettings({ env: { TALLY_CONFIG: file } }).port).toBe(3000)
    expect(loadSettings({ env: { TALLY_CONFIG: '/nowhere' }, flags: { '--config': file } }).port).toBe(3000)
    expect(checkSettings({ env: { TALLY_CONFIG: '/nowhere' } }).problems).toHaveLength(1)
  })
})

describe('problems', () => {
  test('all of them are told at once, each with source, key, expected and got', () => {
    const env = { TALLY_HOST: '   ', TALLY_PROT: '1' }
    const flags = { '--auth': 'maybe', '--seen-retention': '7 days' }
    const text = [
      'store: postgres://tally:hunter2@db/tally',
      'log: kafka://localhost',
      'port: eighty',
      'prot: 1',
      'corsOrigins: [https://example.org, example.com]',
      'counters:',
      '  clicks: { from: events, seris: minute }',
      '  9lives: {}',
      '  unread: { from: rows, table: dialog_message }',
      'sources: {}',
    ].join('\n')
    expect(lines(text, { env, flags }).sort()).toEqual(
      [
        '--auth: auth: expected `auto`, `none`, got "maybe"',
        '--seen-retention: seenRetention: expected a duration from 1m to 400d, such as 7d, 12h, 30m or 90s, got "7 days"',
        'FILE:10: sources: expected no sources (this version captures no databases)',
        'FILE:1: store: expected `sqlite:` and the path of a file (this version has only the embedded store), got "postgres://tally:…@db/tally"',
        'FILE:2: log: expected `none` (this version has nothing else), got "kafka://localhost"',
        'FILE:3: port: expected a whole number from 0 to 65535, got "eighty"',
        'FILE:4: prot: expected a known setting (did you mean port?)',
        'FILE:5: corsOrigins.1: expected an origin such as https://example.org, or *, got "example.com"',
        'FILE:7: counters.clicks.seris: expected one of from, series, cloudEvents, got "seris" (did you mean series?)',
        'FILE:8: counters.9lives: expected a name of up to 64 letters, digits, _ and -, starting with a letter, got "9lives"',
        'FILE:9: counters.unread.from: expected `events` (counters fed by rows are not in this version), got "rows"',
        'TALLY_HOST: host: expected an address or host name to listen on, got "   "',
        'environment: TALLY_PROT: expected a known variable (did you mean TALLY_PORT?)',
      ].sort(),
    )
  })

  test('a wrong value is told although another source overrides it', () => {
    expect(lines('port: 99999', { flags: { '--port': '1' } })).toHaveLength(1)
  })

  test('loadSettings throws them as one invalid_settings', () => {
    const load = () => loadSettings({ env: { TALLY_PORT: 'x', TALLY_AUTH: 'y' }, file: write('') })
    expect(load).toThrow(TallyError)
    expect(load).toThrow(/TALLY_PORT: port: .*\n?.*TALLY_AUTH: auth: /s)
  })

  test.each([
    ['port: 1\nport: 2', 'FILE:2: (file): expected well-formed YAML'],
    ['port: [1', '(file): expected well-formed YAML'],
    ['- port', 'FILE:1: (file): expected a map of settings'],
    ['just text', 'FILE:1: (file): expected a map of settings'],
  ])('the file %j is refused', (text, start) => {
    expect(lines(text)[0]).toContain(start)
  })

  test('invalid UTF-8 is refused', () => {
    const file = join(folder, 'latin1.yaml')
    writeFileSync(file, Buffer.from([0x68, 0x6f, 0x73, 0x74, 0x3a, 0x20, 0xe4]))
    expect(checkSettings({ env: {}, file }).problems).toHaveLength(1)
  })

  test('the stats counter must be declared', () => {
    expect(lines('counters: { views: {} }')).toEqual([
      'default: statsCounter: expected one of the declared counters (views), got "clicks"',
    ])
    expect(check('counters: { views: {} }\nstatsCounter: views').settings?.statsCounter).toBe('views')
  })

  test('a certificate needs its key', () => {
    const file = write('')
    expect(lines(`tlsCertFile: ${file}`)).toEqual([
      'FILE:1: tlsCertFile: expected tlsCertFile and tlsKeyFile together, or neither',
    ])
  })
})

describe('counters', () => {
  test('fields have defaults, and CloudEvents can be mapped', () => {
    const text = [
      'counters:',
      '  clicks:',
      '  totals: { series: none }',
      '  sold: { cloudEvents: { type: shop.sale, key: data.product.id, delta: data.pieces } }',
    ].join('\n')
    const { counters } = loadSettings({ env: {}, file: write(text) })
    expect(counters.get('clicks')).toEqual({ name: 'clicks', from: 'events', series: 'minute' })
    expect(counters.get('totals')?.series).toBe('none')
    expect(counters.get('sold')?.cloudEvents).toEqual({
      type: 'shop.sale',
      key: 'data.product.id',
      delta: 'data.pieces',
    })
  })

  test.each([
    'clicks,views',
    'clicks, views',
    '{"clicks":{},"views":{"from":"events"}}',
    'clicks: {}\nviews: {}',
  ])('a variable may say %j', (text) => {
    const settings = loadSettings({ env: { TALLY_COUNTERS: text }, file: write('') })
    expect([...settings.counters.keys()]).toEqual(['clicks', 'views'])
  })

  test.each([
    'counters: {}',
    'counters: 7',
    'counters: { clicks: 7 }',
    'counters: { clicks: { series: hour } }',
    'counters: { clicks: { cloudEvents: { type: a, key: id } } }',
    'counters: { clicks: { cloudEvents: { type: a, key: subject, delta: pieces } } }',
    'counters: { clicks: { cloudEvents: { key: subject } } }',
    'counters: { __proto__: {}, clicks: {} }',
    'counters: { "a b": {}, clicks: {} }',
  ])('%s is refused', (text) => {
    expect(check(text).problems.length).toBeGreaterThan(0)
  })
})

describe('secrets', () => {
  const secret = 'correct horse battery staple, and more'

  test('come from a file too, without its last line break', () => {
    const file = write(`${secret}\n`)
    expect(loadSettings({ env: { TALLY_TOKEN_SECRET_FILE: file }, file: write('') }).tokenSecret).toBe(secret)
    expect(
      loadSettings({ env: {}, flags: { '--token-secret-file': file }, file: write('') }).tokenSecret,
    ).toBe(secret)
  })

  test('are never told, also when they are wrong', () => {
    const env = {
      TALLY_TOKEN_SECRET: 'hunter2',
      TALLY_TOKEN_SECRET_FILE: write('hunter2'),
      TALLY_API_KEY: secret,
    }
    const all = lines('tokenSecret: hunter2', { env }).join('\n')
    expect(all).toContain('one of 7 bytes')
    expect(all).toContain('only one of TALLY_TOKEN_SECRET and TALLY_TOKEN_SECRET_FILE')
    expect(all).not.toContain('hunter2')
    expect(all).not.toContain(secret)
  })

  test('have no flag of their own, since command lines are seen by others', () => {
    const secrets = [...Object.values(OPTIONS), ...Object.values(CLIENT_OPTIONS)].filter(
      ({ isSecret }) => isSecret,
    )
    expect(secrets.map(({ env, flag }) => [env, flag])).toEqual([
      ['TALLY_TOKEN_SECRET', undefined],
      ['TALLY_API_KEY', undefined],
    ])
  })
})

test('minutes are kept for ever unless a duration is set', () => {
  expect(loadSettings({ env: {}, file: write('') }).minuteRetentionMs).toBe(Number.POSITIVE_INFINITY)
  expect(loadSettings({ env: {}, file: write('minuteRetention: forever') }).minuteRetentionMs).toBe(
    Number.POSITIVE_INFINITY,
  )
  expect(loadSettings({ env: {}, file: write('minuteRetention: 400d') }).minuteRetentionMs).toBe(
    400 * 86_400_000,
  )
})
