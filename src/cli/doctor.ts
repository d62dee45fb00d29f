import { accessSync, constants, existsSync, statfsSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import type { LedgerLine } from '../core/batch.ts'
import { DISK_FREE_BYTES_FAIL, DISK_FREE_BYTES_WARN, MINUTE_MS } from '../core/limits.ts'
import { openStore } from '../drivers.ts'
import { isLoopback, keysRequired } from '../server/origin.ts'
import { problemLine } from '../settings/problem.ts'
import { checkSettings, type Settings, type SettingsCheck } from '../settings/settings.ts'
import { overHttp, runningAt } from './access.ts'
import { EXIT, type ExitCode, failureOf } from './exit.ts'
import type { Invocation } from './invocation.ts'
import { balances, readLedger } from './ledger.ts'
import { storeFile, storeOptions } from './store-file.ts'

/** What the doctor found, and what to do about it. */
interface Finding {
  readonly check: string
  readonly state: 'ok' | 'warn' | 'fail'
  readonly message: string
  readonly todo?: string
}

const NODE_MAJOR_MIN = 24
/** No clock that is right shows less. */
const CLOCK_MS_MIN = Date.UTC(2026, 0, 1)
const OTHERS_MAY_READ = 0o044

/** `tally doctor`: looks at everything a service needs, changes nothing. `failed` if something does not work. */
export async function runDoctor({ terminal, sources }: Invocation): Promise<ExitCode> {
  const checked = checkSettings(sources)
  const findings = [checkNode(), ...checkConfig(checked)]
  if (checked.settings !== undefined) findings.push(...(await checkMachine(checked.settings, checked)))
  const failed = findings.filter(({ state }) => state === 'fail').length
  terminal.result({ ok: failed === 0, findings }, () => findings.map(lineOf).join('\n'))
  return failed === 0 ? EXIT.ok : EXIT.failed
}

function lineOf({ check, state, message, todo }: Finding): string {
  const line = `${state.padEnd(4)}  ${check.padEnd(8)}  ${message.replaceAll('\n', ' ')}`
  return todo === undefined ? line : `${line}\n${' '.repeat(16)}→ ${todo}`
}

function checkNode(): Finding {
  const { version } = process
  const isOld = Number(version.slice(1).split('.')[0]) < NODE_MAJOR_MIN
  if (!isOld) return { check: 'node', state: 'ok', message: version }
  return { check: 'node', state: 'fail', message: version, todo: `take Node ${NODE_MAJOR_MIN} or later` }
}

function checkConfig({ problems, file, settings, origins }: SettingsCheck): Finding[] {
  const check = 'settings'
  if (settings === undefined) {
    return problems.map((problem) => ({
      check,
      state: 'fail',
      message: problemLine(problem),
      todo: 'correct it',
    }))
  }
  const findings: Finding[] = [{ check, state: 'ok', message: file ?? 'no file, all defaults or variables' }]
  const holdsSecret = file !== undefined && origins.tokenSecret.startsWith(`${file}:`)
  if (holdsSecret && (statSync(file).mode & OTHERS_MAY_READ) !== 0) {
    findings.push({
      check,
      state: 'warn',
      message: `others may read ${file}, which holds a secret`,
      todo: `chmod 600 ${file}`,
    })
  }
  if (keysRequired({ ...settings, auth: 'auto' })) {
    if (settings.auth === 'none') {
      const message = `anyone who reaches ${settings.host} may read and write`
      findings.push({ check, state: 'warn', message, todo: 'set auth: auto, or listen on 127.0.0.1' })
    } else if (settings.tlsCertFile === undefined && !isLoopback(settings.host)) {
      const message = 'API keys cross the network in clear'
      findings.push({
        check,
        state: 'warn',
        message,
        todo: 'set tlsCertFile and tlsKeyFile, or put a proxy with TLS in front',
      })
    }
  }
  return findings
}

async function checkMachine(settings: Settings, checked: SettingsCheck): Promise<Finding[]> {
  const file = storeFile(settings)
  const files = checkFiles(file)
  const findings = [...files, checkDisk(existingFolder(file)), checkClock(file)]
  if (files.some(({ state }) => state === 'fail')) return findings
  if (!existsSync(file)) {
    return [
      ...findings,
      { check: 'store', state: 'ok', message: `${file} does not exist yet; the first start makes it` },
    ]
  }
  return [...findings, ...(await checkStore(settings, checked))]
}

function checkFiles(file: string): Finding[] {
  const check = 'files'
  const folder = existingFolder(file)
  const paths = [folder, file, `${file}-wal`, `${file}-shm`, `${file}-lock`].filter((path) =>
    existsSync(path),
  )
  const closed = paths.filter((path) => !isOpenToUs(path))
  if (closed.length === 0) return [{ check, state: 'ok', message: `${file} can be read and written` }]
  const todo = 'give them to the user that runs the service'
  return [{ check, state: 'fail', message: `can't be read and written: ${closed.join(', ')}`, todo }]
}

function isOpenToUs(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK)
    return true
  } catch {
    return false
  }
}

/** The store's folder, or the nearest one above it that exists. */
function existingFolder(file: string): string {
  let folder = dirname(file)
  while (!existsSync(folder)) folder = dirname(folder)
  return folder
}

function checkDisk(folder: string): Finding {
  const { bavail, bsize } = statfsSync(folder)
  const freeBytes = bavail * bsize
  const message = `${(freeBytes / 1024 ** 3).toFixed(1)} GiB free at ${folder}`
  const state = freeBytes < DISK_FREE_BYTES_FAIL ? 'fail' : freeBytes < DISK_FREE_BYTES_WARN ? 'warn' : 'ok'
  return { check: 'disk', state, message, ...(state === 'ok' ? {} : { todo: 'free some space' }) }
}

function checkClock(file: string): Finding {
  const check = 'clock'
  const nowMs = Date.now()
  const message = new Date(nowMs).toISOString()
  const todo = 'set the clock (NTP); events without a time get this one'
  if (nowMs < CLOCK_MS_MIN) return { check, state: 'fail', message: `${message} is in the past`, todo }
  const writtenMs = existsSync(file) ? statSync(file).mtimeMs : 0
  if (writtenMs <= nowMs + MINUTE_MS) return { check, state: 'ok', message }
  const written = new Date(writtenMs).toISOString()
  return { check, state: 'warn', message: `${message}, but the store was written at ${written}`, todo }
}

/** Opens the store and checks it whole; where a service has it open, asks that one. */
async function checkStore(settings: Settings, { client }: SettingsCheck): Promise<Finding[]> {
  try {
    const opened = await openStore(settings.store, storeOptions(settings))
    try {
      const damage = await opened.upkeep.check()
      const todo = 'restore a backup: tally restore FILE --force'
      const lines = await opened.store.ledger()
      return [
        ...damage.map((message): Finding => ({ check: 'store', state: 'fail', message, todo })),
        ...(damage.length === 0
          ? [{ check: 'store', state: 'ok', message: 'checked whole, nothing is wrong' } as const]
          : []),
        ledgerFinding(lines),
      ]
    } finally {
      await opened.close()
    }
  } catch (error) {
    const url = runningAt(error)
    if (url !== undefined) return checkService(url, client.apiKey)
    const { message, code } = failureOf(error)
    const todo =
      code === 'store_locked'
        ? 'wait for it, or find and stop it'
        : 'restore a backup: tally restore FILE --force'
    return [{ check: 'store', state: code === 'store_locked' ? 'warn' : 'fail', message, todo }]
  }
}

async function checkService(url: string, apiKey: string | undefined): Promise<Finding[]> {
  const api = overHttp(url, apiKey)
  const check = 'service'
  try {
    const { status, text } = await api.request({ method: 'GET', path: '/health/ready' })
    const state = status === 200 ? 'ok' : 'fail'
    const ready: Finding =
      state === 'ok'
        ? { check, state, message: `${url} is ready; its store is checked whole only while it is stopped` }
        : { check, state, message: `${url} is not ready: ${text}`, todo: 'look at its log' }
    return [ready, ledgerFinding(await readLedger(api))]
  } catch (error) {
    const todo = 'look at its log; give an API key if it asks for one'
    return [{ check, state: 'fail', message: failureOf(error).message, todo }]
  }
}

function ledgerFinding(lines: readonly LedgerLine[]): Finding {
  const wrong = lines.filter((line) => !balances(line)).map(({ stream }) => stream)
  if (wrong.length === 0)
    return { check: 'ledger', state: 'ok', message: 'received = counted + duplicate + rejected + pending' }
  const todo = 'keep the files and report it: this is a bug, or the disk lies'
  return { check: 'ledger', state: 'fail', message: `does not add up: ${wrong.join(', ')}`, todo }
}
