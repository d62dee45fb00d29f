import { readFileSync } from 'node:fs'

/**
 * A preload (`node --import 'clock-shift.ts?file=/…/shift' …`) that sets the process's clock off by the
 * milliseconds that stand in a file, as they are at the moment: like an operator, or a time server, that sets
 * the clock of the machine while the service runs. The monotonic clock is left alone, as it is by them.
 */

/** Node's arguments for a process whose clock follows a file. */
export function clockShiftedBy(file: string): string[] {
  const preload = new URL(import.meta.url)
  preload.searchParams.set('file', file)
  return ['--import', preload.href]
}

const REREAD_MS = 20
const file = new URL(import.meta.url).searchParams.get('file')

if (file !== null) {
  const trueNow = Date.now.bind(Date)
  let readAtMs = Number.NEGATIVE_INFINITY
  let shiftMs = 0
  const now = () => {
    const monotonicMs = performance.now()
    if (monotonicMs - readAtMs > REREAD_MS) {
      readAtMs = monotonicMs
      shiftMs = Number(readFileSync(file, 'utf8'))
    }
    return trueNow() + shiftMs
  }
  const TrueDate = Date
  globalThis.Date = new Proxy(TrueDate, {
    construct: (target, values, asked) =>
      Reflect.construct(target, values.length === 0 ? [now()] : values, asked),
    apply: () => new TrueDate(now()).toString(),
    get: (target, name, receiver) => (name === 'now' ? now : Reflect.get(target, name, receiver)),
  })
}
