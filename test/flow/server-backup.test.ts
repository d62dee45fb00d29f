import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Composed, startComposed } from '../support/composed.ts'
import { startTestServer } from '../support/test-server.ts'

describe('a backup over HTTP', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tally-backup-'))
  let composed: Composed
  beforeAll(async () => {
    composed = await startComposed()
  })
  afterAll(async () => {
    await composed.stop()
    rmSync(folder, { recursive: true })
  })
  const backup = async (file: string) => {
    const request = { method: 'POST', url: '/v1/admin/backup', payload: { file } } as const
    const { statusCode, body } = await composed.service.app.inject(request)
    return { statusCode, ...JSON.parse(body) }
  }

  test('writes a new file', async () => {
    const file = join(folder, 'new.db')
    expect(await backup(file)).toEqual({ statusCode: 200, file })
    expect(statSync(file).size).toBeGreaterThan(4_096)
  })

  test('never overwrites a file', async () => {
    const file = join(folder, 'there.db')
    writeFileSync(file, '!')
    expect(await backup(file)).toMatchObject({ statusCode: 400, code: 'invalid_parameter', at: '/file' })
    expect(readFileSync(file, 'utf8')).toBe('!')
  })

  test('names a place that can not be written, and the service goes on', async () => {
    const nowhere = await backup(join(folder, 'nowhere', 'a.db'))
    expect(nowhere).toMatchObject({ statusCode: 400, expected: 'a folder that exists' })
    expect((await composed.service.app.inject('/health/ready')).statusCode).toBe(200)
  })

  test('that fails leaves no half of a file behind', async () => {
    const file = join(folder, 'half.db')
    const failing = async () => {
      writeFileSync(file, 'half')
      throw new Error('the disk broke')
    }
    const server = await startTestServer({}, undefined, { backup: failing })
    try {
      const answer = await server.app.inject({ method: 'POST', url: '/v1/admin/backup', payload: { file } })
      expect(answer.statusCode).toBe(500)
      expect(existsSync(file)).toBe(false)
    } finally {
      await server.stop()
    }
  })
})
