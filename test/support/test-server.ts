import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { DEFAULT_COUNTER } from '../../src/core/counter.ts'
import { MINUTE_RETENTION_MS_DEFAULT, SEEN_RETENTION_MS_DEFAULT } from '../../src/core/limits.ts'
import { openStore } from '../../src/drivers.ts'
import { type ApiKeys, openApiKeys } from '../../src/server/api-keys.ts'
import { createMetrics } from '../../src/server/metrics.ts'
import type { Routes } from '../../src/server/route.ts'
import { createServer, type ServerOptions, type ServerSettings, stopServer } from '../../src/server/server.ts'

export interface TestServer {
  readonly app: FastifyInstance
  readonly url: string
  readonly keys: ApiKeys
  /** What the server logged, one line of JSON each. */
  readonly logged: string[]
  stop(): Promise<void>
}

export const TEST_SETTINGS: ServerSettings = {
  host: '127.0.0.1',
  auth: 'auto',
  tokenSecret: 'a secret of the tests, thirty-two bytes or more',
  corsOrigins: [],
  rateLimitPerSecond: 0,
  counters: new Map([[DEFAULT_COUNTER.name, DEFAULT_COUNTER]]),
  tlsCertFile: undefined,
  tlsKeyFile: undefined,
  trustProxy: false,
  requestTimeoutMs: 15_000,
}

/**
 * The server on a real store, with the given routes in place of the stages'. It always listens on a loopback
 * port, whatever host the settings name: the host decides about access only.
 */
export async function startTestServer(
  settings: Partial<ServerSettings> = {},
  routes: Routes = () => {},
  more: Partial<ServerOptions> = {},
): Promise<TestServer> {
  const folder = mkdtempSync(join(tmpdir(), 'tally-server-'))
  const now = more.now ?? Date.now
  const opened = await openStore(`sqlite:${join(folder, 'tally.db')}`, {
    seenRetentionMs: SEEN_RETENTION_MS_DEFAULT,
    minuteRetentionMs: MINUTE_RETENTION_MS_DEFAULT,
    now,
    keepsSeries: () => true,
    log: () => {},
  })
  const logged: string[] = []
  const keys = await openApiKeys(opened.keys, now)
  const app = await createServer({
    settings: { ...TEST_SETTINGS, ...settings },
    keys,
    metrics: createMetrics(),
    log: pino({ level: 'trace' }, { write: (line: string) => logged.push(line) }),
    now,
    version: '0.0.0',
    storeHealth: () => opened.upkeep.health(),
    backup: (file) => opened.upkeep.backup(file),
    ...more,
  })
  await app.register(async (scoped) => routes(scoped))
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  return {
    app,
    url,
    keys,
    logged,
    async stop() {
      await stopServer(app, 1_000)
      await opened.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
