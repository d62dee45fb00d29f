import { COUNTER_NAME_PATTERN, type Counters, DEFAULT_COUNTER } from '../core/counter.ts'
import { shown } from '../core/errors.ts'
import {
  DAY_MS,
  MINUTE_MS,
  MINUTE_RETENTION_MS_DEFAULT,
  REQUEST_TIMEOUT_MS,
  SECOND_MS,
  SEEN_RETENTION_MS_DEFAULT,
  TOKEN_SECRET_BYTES_MIN,
} from '../core/limits.ts'
import { counters } from './counters.ts'
import { formatDuration } from './duration.ts'
import {
  duration,
  httpUrl,
  oneOf,
  origins,
  type Parser,
  readableFile,
  secret,
  storeUrl,
  text,
  trueOrFalse,
  wholeNumber,
} from './parsers.ts'

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent'

/** Everything an operator can set, checked. Durations are milliseconds. */
export interface Settings {
  readonly store: string
  readonly log: 'none'
  readonly cache: 'memory'
  readonly discovery: 'none'
  readonly host: string
  readonly port: number
  readonly counters: Counters
  readonly statsCounter: string
  readonly auth: 'auto' | 'none'
  readonly tokenSecret: string | undefined
  readonly corsOrigins: readonly string[]
  readonly tlsCertFile: string | undefined
  readonly tlsKeyFile: string | undefined
  readonly rateLimitPerSecond: number
  readonly seenRetentionMs: number
  /** Infinity keeps all minutes. */
  readonly minuteRetentionMs: number
  readonly logLevel: LogLevel
  readonly trustProxy: boolean
  readonly requestTimeoutMs: number
}

/** What the commands need to reach a server; set by variable or flag, never in the file. */
export interface ClientSettings {
  readonly url: string | undefined
  readonly apiKey: string | undefined
}

/** How one setting is written, read and explained. */
export interface Option<T> {
  /** The key in tally.yaml; undefined for settings that are not read from the file. */
  readonly key: string | undefined
  readonly env: string
  /** A secret has none: other users of a machine see its command lines. `--…-file` takes its place. */
  readonly flag: string | undefined
  /** What stands for the value in the help: `URL`, `DURATION`. */
  readonly placeholder: string
  readonly help: string
  readonly isSecret: boolean
  readonly fallback: T
  /** The fallback as it would be written. */
  readonly fallbackText: string
  readonly parse: Parser<NonNullable<T>>
}

interface Declared<T> {
  readonly parse: Parser<NonNullable<T>>
  readonly fallback: T
  readonly help: string
  readonly placeholder: string
  readonly fallbackText?: string
  readonly isSecret?: boolean
  readonly isInFile?: boolean
}

/** Derives the names of a setting from its key: `seenRetention`, `TALLY_SEEN_RETENTION`, `--seen-retention`. */
function option<T>(key: string, declared: Declared<T>): Option<T> {
  const { parse, fallback, help, placeholder, isSecret = false, isInFile = true } = declared
  const words = key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
  const fallbackText = declared.fallbackText ?? (fallback === undefined ? '' : String(fallback))
  return {
    key: isInFile ? key : undefined,
    env: `TALLY_${words.replaceAll('-', '_').toUpperCase()}`,
    flag: isSecret ? undefined : `--${words}`,
    placeholder,
    help,
    isSecret,
    fallback,
    fallbackText,
    parse,
  }
}

const counterName: Parser<string> = ({ raw, refuse }) =>
  typeof raw === 'string' && new RegExp(COUNTER_NAME_PATTERN, 'u').test(raw)
    ? raw
    : refuse({ expected: 'the name of a declared counter', got: shown(raw) })

const ONLY_THIS = ' (this version has nothing else)'
const LOG_LEVELS: readonly LogLevel[] = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']

/** The one table: from it come the file's keys, the variables, the flags, the help and docs/settings.md. */
export const OPTIONS: { readonly [Name in keyof Settings]: Option<Settings[Name]> } = {
  store: option<string>('store', {
    parse: storeUrl,
    fallback: 'sqlite:./data/tally.db',
    placeholder: 'URL',
    help: 'where counts are kept; a relative path starts at the working directory',
  }),
  log: option<'none'>('log', {
    parse: oneOf(['none'], ONLY_THIS),
    fallback: 'none',
    placeholder: 'URL',
    help: 'the log between intake and counting',
  }),
  cache: option<'memory'>('cache', {
    parse: oneOf(['memory'], ONLY_THIS),
    fallback: 'memory',
    placeholder: 'URL',
    help: 'where readings are cached',
  }),
  discovery: option<'none'>('discovery', {
    parse: oneOf(['none'], ONLY_THIS),
    fallback: 'none',
    placeholder: 'URL',
    help: 'where the service registers itself',
  }),
  host: option<string>('host', {
    parse: text('an address or host name to listen on'),
    fallback: '127.0.0.1',
    placeholder: 'ADDRESS',
    help: 'the address to listen on; 0.0.0.0 for all of IPv4, :: for all',
  }),
  port: option<number>('port', {
    parse: wholeNumber(0, 65_535),
    fallback: 8080,
    placeholder: 'NUMBER',
    help: 'the port to listen on; 0 takes any free one',
  }),
  counters: option<Counters>('counters', {
    parse: counters,
    fallback: new Map([[DEFAULT_COUNTER.name, DEFAULT_COUNTER]]),
    fallbackText: `${DEFAULT_COUNTER.name}: { from: events, series: minute }`,
    placeholder: 'NAMES',
    help: 'the counters; as a variable or flag: names with commas between them, or the map as JSON',
  }),
  statsCounter: option<string>('statsCounter', {
    parse: counterName,
    fallback: DEFAULT_COUNTER.name,
    placeholder: 'NAME',
    help: 'the counter behind /stats/{bannerId}',
  }),
  auth: option<'auto' | 'none'>('auth', {
    parse: oneOf(['auto', 'none']),
    fallback: 'auto',
    placeholder: 'MODE',
    help: 'auto asks for API keys unless the host is a loopback address; none never asks',
  }),
  tokenSecret: option<string | undefined>('tokenSecret', {
    parse: secret(TOKEN_SECRET_BYTES_MIN),
    fallback: undefined,
    placeholder: 'TEXT',
    isSecret: true,
    help: 'signs short JWTs (HS256) that let a browser read given keys; without it none is accepted',
  }),
  corsOrigins: option<readonly string[]>('corsOrigins', {
    parse: origins,
    fallback: [],
    fallbackText: '[]',
    placeholder: 'ORIGINS',
    help: 'origins whose pages may call the API; * for any',
  }),
  tlsCertFile: option<string | undefined>('tlsCertFile', {
    parse: readableFile,
    fallback: undefined,
    placeholder: 'FILE',
    help: 'certificate chain in PEM; with tlsKeyFile the service speaks HTTPS',
  }),
  tlsKeyFile: option<string | undefined>('tlsKeyFile', {
    parse: readableFile,
    fallback: undefined,
    placeholder: 'FILE',
    help: 'private key of the certificate in PEM',
  }),
  rateLimitPerSecond: option<number>('rateLimitPerSecond', {
    parse: wholeNumber(0, 1_000_000),
    fallback: 0,
    placeholder: 'NUMBER',
    help: 'requests per second of one key, token or address; 0 sets no limit',
  }),
  seenRetentionMs: option<number>('seenRetention', {
    parse: duration({ minMs: MINUTE_MS, maxMs: 400 * DAY_MS }),
    fallback: SEEN_RETENTION_MS_DEFAULT,
    fallbackText: formatDuration(SEEN_RETENTION_MS_DEFAULT),
    placeholder: 'DURATION',
    help: 'how long event ids and Idempotency-Keys are remembered',
  }),
  minuteRetentionMs: option<number>('minuteRetention', {
    parse: duration({ minMs: DAY_MS, maxMs: 36_500 * DAY_MS, forever: true }),
    fallback: MINUTE_RETENTION_MS_DEFAULT,
    fallbackText: formatDuration(MINUTE_RETENTION_MS_DEFAULT),
    placeholder: 'DURATION',
    help: 'how long single minutes are kept, by their own time; hours and days stay',
  }),
  logLevel: option<LogLevel>('logLevel', {
    parse: oneOf(LOG_LEVELS),
    fallback: 'info',
    placeholder: 'LEVEL',
    help: 'the least level that is logged',
  }),
  trustProxy: option<boolean>('trustProxy', {
    parse: trueOrFalse,
    fallback: false,
    placeholder: 'BOOLEAN',
    help: 'take the client address from X-Forwarded-For; only behind a proxy that sets it',
  }),
  requestTimeoutMs: option<number>('requestTimeout', {
    parse: duration({ minMs: SECOND_MS, maxMs: 10 * MINUTE_MS }),
    fallback: REQUEST_TIMEOUT_MS,
    fallbackText: formatDuration(REQUEST_TIMEOUT_MS),
    placeholder: 'DURATION',
    help: 'how long a request may take to arrive',
  }),
}

/** Settings of the commands that call a server. */
export const CLIENT_OPTIONS: { readonly [Name in keyof ClientSettings]: Option<ClientSettings[Name]> } = {
  url: option<string | undefined>('url', {
    parse: httpUrl,
    fallback: undefined,
    placeholder: 'URL',
    isInFile: false,
    help: 'the server to ask; without it the store is opened, or whoever has it open is asked',
  }),
  apiKey: option<string | undefined>('apiKey', {
    parse: secret(1),
    fallback: undefined,
    placeholder: 'KEY',
    isSecret: true,
    isInFile: false,
    help: 'the API key to send to a server',
  }),
}

/** The variable and the flag that name the file. */
export const CONFIG_ENV = 'TALLY_CONFIG'
export const CONFIG_FLAG = '--config'
export const CONFIG_FILE_DEFAULT = 'tally.yaml'
