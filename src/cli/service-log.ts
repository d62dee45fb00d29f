import { Writable } from 'node:stream'
import { destination, type Logger, pino, stdSerializers } from 'pino'
import type { LogLevel } from '../settings/settings.ts'
import type { OutputStream } from './terminal.ts'

const STDERR = 2
const LEVELS: Readonly<Record<number, string>> = pino.levels.labels

/**
 * The service's log, on stderr: a JSON object a line, or, on a terminal, lines for people. Times are
 * RFC 3339.
 */
export function createServiceLog(level: LogLevel, stderr: OutputStream): Logger {
  const options = {
    level,
    timestamp: pino.stdTimeFunctions.isoTime,
    serializers: { err: stdSerializers.err },
  }
  return stderr.isTTY
    ? pino(options, forPeople(stderr))
    : pino(options, destination({ dest: STDERR, sync: false }))
}

function forPeople(stderr: OutputStream): Writable {
  return new Writable({
    decodeStrings: false,
    write(line: string | Buffer, _encoding, done) {
      stderr.write(`${readableLine(line.toString())}\n`)
      done()
    },
  })
}

/** `06:47:46 info  listening url=http://127.0.0.1:8080` */
export function readableLine(line: string): string {
  const { time, level, msg, pid, hostname, ...fields } = JSON.parse(line) as Record<string, unknown>
  const rest = Object.entries(fields).map(([name, value]) => {
    const text = typeof value === 'string' ? value : JSON.stringify(value)
    return `${name}=${/\s/.test(text) ? JSON.stringify(text) : text}`
  })
  const word = (LEVELS[Number(level)] ?? String(level)).padEnd(5)
  return [String(time).slice(11, 19), word, msg, ...rest].filter((part) => part !== undefined).join(' ')
}
