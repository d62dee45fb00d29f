import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { type Finished, makeWorkplace, type Running, type Workplace } from '../support/command-line.ts'

/** Events with ids and times of their own, so that every count is known. */
const EVENTS = [
  { key: '/a', id: '1', time: '2026-03-28T10:00:00Z' },
  { key: '/a', id: '2', time: '2026-03-28T10:01:00Z', delta: 4 },
  { key: '/b', id: '3', time: '2026-03-28T12:00:00Z' },
]
  .map((event) => JSON.stringify({ counter: 'clicks', ...event }))
  .join('\n')

const DAY = ['--from', '2026-03-28', '--to', '2026-03-29', '--window', 'hour']

async function fill(workplace: Workplace): Promise<void> {
  const file = join(workplace.folder, 'events.ndjson')
  writeFileSync(file, EVENTS)
  expect((await workplace.tally(['import', file, '--format', 'ndjson'])).code).toBe(0)
}

async function serve(
  workplace: Workplace,
  args: readonly string[] = [],
): Promise<{ url: string; server: Running }> {
  const server = workplace.start(['serve', '--json', '--port', '0', ...args])
  while (!server.stdout().includes('\n')) {
    if (server.child.exitCode !== null) throw new Error(server.stderr())
    await sleep(20)
  }
  return { ...(JSON.parse(server.stdout()) as { url: string }), server }
}

function json({ stdout }: Finished): unknown {
  return JSON.parse(stdout)
}

describe('every command', () => {
  test('explains itself with an example', async () => {
    const { tally } = makeWorkplace()
    const names = [
      'serve',
      'import',
      'get',
      'series',
      'top',
      'ledger',
      'doctor',
      'backup',
      'restore',
      'bench',
    ]
    const commands = [...names.map((name) => [name]), ['key', 'create'], ['key', 'list'], ['key', 'revoke']]
    for (const command of [...commands, ['config', 'check'], ['config', 'show']]) {
      const { code, stdout } = await tally([...command, '--help'])
      expect([code, command.join(' '), stdout.includes(`Examples:\n  tally ${command.join(' ')}`)]).toEqual([
        0,
        command.join(' '),
        true,
      ])
    }
  })

  test('answers the same whether a service has the store open or not', async () => {
    const workplace = makeWorkplace()
    await fill(workplace)
    const commands = [
      ['get', 'clicks', '/a', '/b', '/none'],
      ['series', 'clicks', '/a', ...DAY],
      ['series', 'clicks', '/a', ...DAY, '--csv'],
      ['top', 'clicks', '--limit', '1'],
      ['top', 'clicks', '--from', '2026-03-28T12:00:00Z', '--to', '2026-03-29'],
      ['ledger'],
    ]
    const alone: string[] = []
    for (const command of commands) alone.push((await workplace.tally(command)).stdout)
    const { server } = await serve(workplace)
    const beside: string[] = []
    for (const command of commands) beside.push((await workplace.tally(command)).stdout)
    server.child.kill('SIGTERM')
    expect((await server.finished).code).toBe(0)
    expect(beside).toEqual(alone)
    expect(alone[0]).toMatch(/\/a +5\n\/b +1\n\/none +0\n/)
    expect(alone[1]).toMatch(/^clicks \/a: 5 in 2026-03-28 00:00 to 2026-03-29 00:00, by hour\n/)
    expect(alone[2]).toContain('2026-03-28T10:00:00Z,5\n')
    expect(alone[3]).toMatch(/^ +key +value\n1 +\/a +5\n$/)
    expect(alone[4]).toMatch(/^ +key +value\n1 +\/b +1\n$/)
    expect(alone[5]).toMatch(/events +3 +3 +0 +0 +0\n/)
  })

  test('prints one JSON value with --json', async () => {
    const workplace = makeWorkplace()
    await fill(workplace)
    const { tally } = workplace
    expect(json(await tally(['--json', 'get', 'clicks', '/a']))).toMatchObject([{ key: '/a', value: 5 }])
    expect(json(await tally(['top', 'clicks', '--json']))).toMatchObject({
      keys: [{ key: '/a' }, { key: '/b' }],
    })
    expect(json(await tally(['series', 'clicks', '/a', ...DAY, '--json']))).toMatchObject({ window: 'hour' })
    expect(json(await tally(['ledger', '--json']))).toMatchObject({
      balanced: true,
      streams: [{ counted: 3 }],
    })
    expect(json(await tally(['config', 'show', '--json']))).toContainEqual({
      key: 'port',
      value: 8080,
      source: 'default',
    })
    expect(json(await tally(['config', 'check', '--json']))).toEqual({ ok: true, problems: [] })
    expect(json(await tally(['doctor', '--json']))).toMatchObject({ ok: true })
    expect(json(await tally(['key', 'list', '--json']))).toEqual({ keys: [] })
  })
})

describe('exit codes', () => {
  test.each([
    [2, ['frobnicate']],
    [2, []],
    [2, ['get', 'clicks']],
    [2, ['get', 'clicks', 'a', '--frob']],
    [2, ['top', 'clicks', '--limit', '0']],
    [2, ['series', 'clicks', 'a', '--from', 'yesterday']],
    [2, ['series', 'clicks', 'a', '--window', 'week']],
    [2, ['series', 'clicks', 'a', '--tz', 'Mars/Olympus']],
    [2, ['import', 'x', '--format', 'xml']],
    [2, ['import', '.', '--format', 'csv']],
    [2, ['key', 'create', 'x', '--scopes', 'root']],
    [2, ['serve', '--port', '99999']],
    [2, ['config', 'check', '--store', 'postgres://localhost/tally']],
    [2, ['get', 'clicks', 'a', '--config', 'nowhere.yaml']],
    [3, ['get', 'clicks', 'a', '--url', 'http://127.0.0.1:1']],
    [4, ['get', 'clucks', 'a']],
    [4, ['series', 'clicks', 'never-counted']],
    [4, ['top', 'clicks']],
    [4, ['import', 'nowhere.log']],
    [4, ['key', 'revoke', '0123456789abcdef']],
    [4, ['backup', 'copy.db']],
    [4, ['restore', 'nowhere.db']],
    [0, ['get', 'clicks', 'never-counted']],
    [0, ['--version']],
  ])('%i: tally %j', async (expected, args) => {
    const { code, stderr } = await makeWorkplace().tally(args)
    expect(code).toBe(expected)
    expect(stderr).not.toMatch(/\n\s+at /)
  })

  test('3 where a process has the store open and serves nothing', async () => {
    const workplace = makeWorkplace()
    const importing = workplace.start(['import', '-'])
    while (!existsSync(join(workplace.folder, 'data', 'tally.db'))) await sleep(20)
    const { code, stderr } = await workplace.tally(['get', 'clicks', 'a'])
    expect([code, stderr]).toEqual([3, expect.stringContaining('has')])
    importing.child.stdin?.end()
    expect((await importing.finished).code).toBe(0)
  })

  test('errors are JSON on stderr with --json', async () => {
    const { stdout, stderr } = await makeWorkplace().tally(['get', 'clucks', 'a', '--json'])
    expect([stdout, JSON.parse(stderr)]).toEqual([
      '',
      { error: { code: 'unknown_counter', message: expect.any(String) } },
    ])
  })
})

describe('serve', () => {
  test('prints its URL and a curl that counts', async () => {
    const workplace = makeWorkplace()
    const server = workplace.start(['serve', '--port', '0'])
    while (!server.stdout().includes('/docs')) await sleep(20)
    const [, url = ''] = /curl -X POST (\S+)/.exec(server.stdout()) ?? []
    expect(await (await fetch(url, { method: 'POST' })).json()).toMatchObject({ key: 'hello', value: 1 })
    server.child.kill('SIGINT')
    expect((await server.finished).code).toBe(0)
  })

  test('where keys are needed, makes the first one, once, and it works', async () => {
    const workplace = makeWorkplace()
    const env = { TALLY_HOST: '0.0.0.0' }
    const first = workplace.start(['serve', '--port', '0'], env)
    while (!first.stdout().includes('/docs')) await sleep(20)
    const [key = ''] = /tally_[0-9a-f]{16}_\S+/.exec(first.stdout()) ?? []
    const list = ['key', 'list', '--json']
    expect((await workplace.tally(list)).code).toBe(1)
    expect(json(await workplace.tally(list, { TALLY_API_KEY: key }))).toMatchObject({
      keys: [{ scopes: ['admin'] }],
    })
    first.child.kill('SIGTERM')
    await first.finished
    const second = workplace.start(['serve', '--port', '0'], env)
    while (!second.stdout().includes('/docs')) await sleep(20)
    expect(second.stdout()).not.toMatch(/tally_[0-9a-f]{16}/)
    second.child.kill('SIGTERM')
    await second.finished
    expect(readFileSync(join(workplace.folder, 'data', 'tally.db')).includes(key.split('_')[2] ?? 'x')).toBe(
      false,
    )
  })

  test('a port that is taken ends it with a sentence, and the store is free again', async () => {
    const workplace = makeWorkplace()
    const taken = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => taken.once('listening', resolve))
    const address = taken.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    const { code, stderr } = await workplace.tally(['serve', '--port', String(port)])
    taken.close()
    expect([code, stderr]).toEqual([1, expect.stringContaining('EADDRINUSE')])
    expect((await workplace.tally(['get', 'clicks', 'a'])).code).toBe(0)
  })

  test('a first signal waits for a request in flight, a second one ends it at once', async () => {
    const { url, server } = await serve(makeWorkplace())
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    socket.on('error', () => undefined)
    socket.write(
      'POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{',
    )
    await sleep(200)
    server.child.kill('SIGTERM')
    await sleep(500)
    expect(server.child.exitCode).toBeNull()
    server.child.kill('SIGTERM')
    expect((await server.finished).code).toBe(143)
    socket.destroy()
  })

  test('a second one on the same store is refused and told where the first is', async () => {
    const workplace = makeWorkplace()
    const { url, server } = await serve(workplace)
    const { code, stderr } = await workplace.tally(['serve', '--port', '0'])
    expect([code, stderr]).toEqual([3, expect.stringContaining(url)])
    server.child.kill('SIGTERM')
    await server.finished
  })
})

test('keys are made, listed and revoked alone and beside a service, which obeys at once', async () => {
  const workplace = makeWorkplace()
  const alone = json(
    await workplace.tally(['key', 'create', 'ops', '--scopes', 'admin', '--json']),
  ) as Created
  const { url, server } = await serve(workplace, ['--host', '0.0.0.0'])
  const env = { TALLY_API_KEY: alone.key }
  const made = json(
    await workplace.tally(['key', 'create', 'shop', '--scopes', 'write', '--json'], env),
  ) as Created
  const headers = { authorization: `Bearer ${made.key}` }
  const count = () =>
    fetch(`${url}/v1/counters/clicks/a`, { method: 'POST', headers }).then(({ status }) => status)
  expect(await count()).toBe(200)
  const { stdout } = await workplace.tally(['key', 'list'], env)
  expect(stdout).toMatch(/ops +admin .*\n\S+ +shop +write/)
  expect(stdout).not.toContain(made.key.split('_')[2])
  expect((await workplace.tally(['key', 'revoke', made.id], env)).code).toBe(0)
  expect(await count()).toBe(401)
  server.child.kill('SIGTERM')
  await server.finished
})

interface Created {
  readonly id: string
  readonly key: string
}

describe('backup and restore', () => {
  test('a backup of a running service brings back what it held', async () => {
    const workplace = makeWorkplace()
    const { tally, folder } = workplace
    await fill(workplace)
    const { url, server } = await serve(workplace)
    expect((await tally(['backup', 'copy.db'])).code).toBe(0)
    const post = () => fetch(`${url}/v1/counters/clicks/a`, { method: 'POST' })
    const { position } = (await (await post()).json()) as { position: string }
    expect((await tally(['restore', 'copy.db', '--force'])).code).toBe(3)
    server.child.kill('SIGTERM')
    await server.finished

    expect((await tally(['restore', 'copy.db'])).code).toBe(1)
    expect((await tally(['restore', 'copy.db', '--force'])).code).toBe(0)
    expect((await tally(['get', 'clicks', '/a', 'a', '--json'])).stdout).toMatch(/"value":5.*"value":0/)
    expect(readdirSync(join(folder, 'data')).some((name) => name.includes('.before-restore-'))).toBe(true)
    const back = await serve(workplace)
    const waited = await fetch(`${back.url}/v1/counters/clicks/a?wait=${position}&timeout=100ms`)
    expect(await waited.json()).toMatchObject({ code: 'position_unknown' })
    back.server.child.kill('SIGTERM')
    await back.server.finished
  })

  test('a backup never replaces a file unasked', async () => {
    const workplace = makeWorkplace()
    await fill(workplace)
    writeFileSync(join(workplace.folder, 'copy.db'), 'mine')
    expect((await workplace.tally(['backup', 'copy.db'])).code).toBe(1)
    expect(readFileSync(join(workplace.folder, 'copy.db'), 'utf8')).toBe('mine')
    expect((await workplace.tally(['backup', 'copy.db', '--force'])).code).toBe(0)
    expect(readdirSync(workplace.folder).filter((name) => name.includes('part'))).toEqual([])
  })

  test.each([
    ['cut', (bytes: Buffer) => bytes.subarray(0, bytes.length - 5_000)],
    ['no store at all', () => Buffer.from('hello')],
    ['overwritten inside', (bytes: Buffer) => Buffer.from(bytes).fill(0xff, 4_096, 12_288)],
  ])('a backup that is %s is refused and the store stays', async (_what, damage) => {
    const workplace = makeWorkplace()
    await fill(workplace)
    await workplace.tally(['backup', 'copy.db'])
    const file = join(workplace.folder, 'copy.db')
    writeFileSync(file, damage(readFileSync(file)))
    const { code, stderr } = await workplace.tally(['restore', 'copy.db', '--force'])
    expect([code, stderr.trim()]).toEqual([1, expect.stringMatching(/^tally: \S/)])
    expect((await workplace.tally(['get', 'clicks', '/a'])).stdout).toBe('5\n')
    expect(readdirSync(join(workplace.folder, 'data')).filter((name) => name.includes('restor'))).toEqual([])
  })
})

describe('doctor', () => {
  test('finds a damaged store and wrong settings, and says what to do', async () => {
    const workplace = makeWorkplace()
    await fill(workplace)
    const file = join(workplace.folder, 'data', 'tally.db')
    writeFileSync(file, Buffer.from(readFileSync(file)).fill(0xff, 4_096, 12_288))
    const damaged = await workplace.tally(['doctor'])
    expect([damaged.code, damaged.stdout]).toEqual([
      1,
      expect.stringMatching(/^fail +store .*\n +→ restore a backup/m),
    ])
    const wrong = await workplace.tally(['doctor', '--port', 'x'])
    expect([wrong.code, wrong.stdout]).toEqual([1, expect.stringMatching(/^fail +settings +--port/m)])
  })

  test('asks a running service instead of opening its store, and changes nothing where there is none', async () => {
    const workplace = makeWorkplace()
    expect((await workplace.tally(['doctor'])).code).toBe(0)
    expect(existsSync(join(workplace.folder, 'data'))).toBe(false)
    const { server } = await serve(workplace)
    const { code, stdout } = await workplace.tally(['doctor'])
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^ok +service .*\n(.*\n)*ok +ledger/m)])
    server.child.kill('SIGTERM')
    await server.finished
  })

  test('warns of what strangers could do', async () => {
    const workplace = makeWorkplace()
    writeFileSync(join(workplace.folder, 'tally.yaml'), `tokenSecret: ${'s'.repeat(32)}\n`, { mode: 0o644 })
    const open = await workplace.tally(['doctor', '--host', '0.0.0.0', '--auth', 'none'])
    expect(open.stdout).toMatch(/^warn +settings +others may read tally\.yaml/m)
    expect(open.stdout).toMatch(/^warn +settings +anyone who reaches 0\.0\.0\.0/m)
    const clear = await workplace.tally(['doctor', '--host', '0.0.0.0'])
    expect(clear.stdout).toMatch(/^warn +settings +API keys cross the network in clear/m)
  })
})

test('config tells all problems at once and shows no secret', async () => {
  const { folder, tally } = makeWorkplace()
  const secret = 'correct horse battery staple, and more'
  const file = join(folder, 'tally.yaml')
  writeFileSync(file, `port: 9000\ntokenSecret: ${secret}\n`)
  const shown = await tally(['config', 'show'], { TALLY_HOST: '127.0.0.2' })
  expect(shown.stdout).toMatch(/^port +9000 +tally\.yaml:1$/m)
  expect(shown.stdout).toMatch(/^host +127\.0\.0\.2 +TALLY_HOST$/m)
  expect(shown.stdout).toMatch(/^tokenSecret +\(secret\) +tally\.yaml:2$/m)
  expect((await tally(['config', 'show', '--json'])).stdout + shown.stdout).not.toContain(secret)
  writeFileSync(file, 'prot: 9000\nauth: maybe\n')
  const checked = await tally(['config', 'check', '--log', 'kafka://x'], { TALLY_STOER: 'x' })
  expect(checked.code).toBe(2)
  expect(checked.stdout.trim().split('\n')).toHaveLength(4)
  expect(checked.stdout).toContain('did you mean TALLY_STORE?')
})

test('a key with control characters cannot steer the terminal', async () => {
  const workplace = makeWorkplace()
  const { stdout } = await workplace.tally(['get', 'clicks', '\u202Ea', 'b'])
  expect(stdout).toContain('\\u{202e}a')
})
