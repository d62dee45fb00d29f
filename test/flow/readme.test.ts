import { execFile, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const ROOT = join(import.meta.dirname, '..', '..')
const README_URL = 'http://127.0.0.1:8080'
const URL_LINE = /Tally listens on (http:\S+)/

/** A block of commands of the tour, and what the README says they print. */
interface Step {
  readonly title: string
  readonly commands: string
  readonly output: string | undefined
}

function tour(): Step[] {
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8')
  const [, rest = ''] = readme.split(/^## A tour.*$/m)
  const [section = ''] = rest.split(/^## /m)
  const blocks = section.matchAll(/^```sh\n([\s\S]*?)^```\n(?:```(?:json|text)\n([\s\S]*?)^```)?/gm)
  return [...blocks].map(([, commands = '', output]) => ({
    title: commands.split('\n', 1)[0] ?? '',
    commands,
    output,
  }))
}

/** `…` stands for anything; positions and moments differ each time; an answer may lack its line break. */
function pattern(output: string): RegExp {
  const text = plain(output)
    .trimEnd()
    .replaceAll(/[.*+?^$()[\]{}|\\]/g, '\\$&')
    .replaceAll(/ ?… ?/g, '[\\s\\S]*?')
    .replaceAll('\n', '\\s*')
  return new RegExp(text)
}

function plain(output: string): string {
  return output
    .replaceAll(/"[0-9a-f]{8}-\d+"/g, '"POSITION"')
    .replaceAll(/"asOf":"[^"]+"/g, '"asOf":"MOMENT"')
    .replaceAll(/[ \t]+$/gm, '')
}

describe('the tour of the README', () => {
  const steps = tour()
  const folder = mkdtempSync(join(tmpdir(), 'tally-readme-'))
  const path = `${join(ROOT, 'node_modules', '.bin')}${delimiter}${process.env.PATH}`
  const env = { PATH: path, HOME: folder, TALLY_PORT: '0' }
  let url = ''
  let stop = async (): Promise<void> => undefined
  let endGroup = (): void => undefined

  beforeAll(async () => {
    // The commands run where the project is, and leave nothing in it.
    for (const name of ['package.json', 'node_modules', 'src'])
      symlinkSync(join(ROOT, name), join(folder, name))
    const service = spawn('npm', ['start'], {
      cwd: folder,
      env,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const ended = new Promise<void>((resolve) => service.once('exit', () => resolve()))
    stop = async () => {
      service.kill('SIGTERM')
      await ended
    }
    endGroup = () => {
      try {
        if (service.pid !== undefined) process.kill(-service.pid, 'SIGKILL')
      } catch {
        // Nobody of it is left, as it should be.
      }
    }
    let printed = ''
    service.stderr.on('data', (bytes) => {
      printed += bytes
    })
    url = await new Promise<string>((resolve, reject) => {
      ended.then(() => reject(new Error(`the service ended: ${printed}`)))
      service.stdout.on('data', (bytes) => {
        printed += bytes
        const found = URL_LINE.exec(printed)?.[1]
        if (found !== undefined) resolve(found)
      })
    })
  })

  afterAll(() => {
    endGroup()
    rmSync(folder, { recursive: true, force: true })
  })

  test('has steps, each with its output', () => {
    expect(steps.length).toBeGreaterThan(8)
    expect(steps.filter(({ output }) => output === undefined)).toEqual([])
  })

  test.each(steps)('prints what it says: $title', async ({ commands, output = '' }) => {
    const script = commands.replaceAll(README_URL, url)
    const { stdout } = await promisify(execFile)('bash', ['-euo', 'pipefail', '-c', script], {
      cwd: folder,
      env,
    })
    expect(plain(stdout)).toMatch(pattern(output))
  })

  test('what ends `npm start` ends the service, and not only npm', async () => {
    expect((await fetch(`${url}/health/live`)).status).toBe(200)
    await stop()
    await expect(fetch(`${url}/health/live`)).rejects.toThrow()
  })
})
