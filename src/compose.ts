import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { HOUR_MS, MINUTE_MS } from './core/limits.ts'
import { VERSION } from './core/version.ts'
import { openStore } from './drivers.ts'
import { createAcceptEvent } from './intake/accept-event.ts'
import { createGroupCommit, type GroupCommit } from './intake/group-commit.ts'
import { intakeRoutes } from './intake/routes.ts'
import { LiveHub } from './query/live-hub.ts'
import { liveRoutes } from './query/live-routes.ts'
import { queryRoutes } from './query/routes.ts'
import { type ApiKeys, openApiKeys } from './server/api-keys.ts'
import { createMetrics } from './server/metrics.ts'
import { createServer, stopServer } from './server/server.ts'
import type { Settings } from './settings/settings.ts'
import type { OpenStore, StoreOptions } from './store/store.ts'

/** A whole service in this process. */
export interface Service {
  /** Also answers without listening, through `inject`. */
  readonly app: FastifyInstance
  readonly opened: OpenStore
  readonly keys: ApiKeys
  /** Listens where the settings say; resolves with the URL it can be reached at. */
  listen(): Promise<string>
  /** Answers what is in flight, commits what was taken, folds the journal, closes the store. Safe to call twice. */
  stop(): Promise<void>
}

export interface ComposeOptions {
  readonly log?: FastifyBaseLogger
  /** The clock, milliseconds since the epoch. */
  readonly now?: () => number
}

/** The ledger's line of everything that comes in over HTTP and WebSocket. */
const STREAM = 'events'
const FIRST_PURGE_MS = MINUTE_MS
const PURGE_EVERY_MS = HOUR_MS

/** Joins settings, drivers and stages. The only place that knows them all. Throws what opening the store throws. */
export async function composeService(settings: Settings, options: ComposeOptions = {}): Promise<Service> {
  const { now = Date.now, log = pino({ level: settings.logLevel }) } = options
  const { counters, statsCounter } = settings
  const storeOptions: StoreOptions = {
    seenRetentionMs: settings.seenRetentionMs,
    minuteRetentionMs: settings.minuteRetentionMs,
    now,
    keepsSeries: (counter) => counters.get(counter)?.series === 'minute',
    log: (event, fields) => log.error(fields, event),
  }
  const opened = await openStore(settings.store, storeOptions)
  const { store, upkeep } = opened
  const metrics = createMetrics()
  const hub = new LiveHub(store, { now })
  const commit = createGroupCommit((batch) => store.apply(batch), {
    stream: STREAM,
    ledger: await store.ledger(),
    onChanged: (keys) => hub.changed(keys),
    onCommit: ({ events, durationMs }) => metrics.commit(durationMs, events),
  })
  metrics.watchLedger(() => commit.ledger())
  metrics.watchStore(() => upkeep.health().gauges)
  metrics.watchSubscribers(() => hub.size.subscribers)

  const keys = await openApiKeys(opened.keys, now)
  const app = await createServer({
    settings,
    keys,
    metrics,
    log,
    now,
    version: VERSION,
    storeHealth: () => upkeep.health(),
    backup: (file) => upkeep.backup(file),
  })
  const intake = { commit, store, counters, statsCounter, now }
  await app.register(async (scope) => intakeRoutes(intake)(scope))
  const query = { store, counters, statsCounter, now, ledger: () => commit.ledger() }
  await app.register(async (scope) => queryRoutes(query)(scope))
  const live = { hub, counters, acceptEvent: createAcceptEvent({ commit, counters, now }) }
  await app.register(async (scope) => liveRoutes(live)(scope))
  await app.ready()

  const purging = schedulePurges(() => upkeep.purge(now()), log)
  return { app, opened, keys, ...lifecycle({ app, opened, commit, settings, purging }) }
}

function lifecycle(parts: {
  app: FastifyInstance
  opened: OpenStore
  commit: GroupCommit
  settings: Settings
  purging: { stop(): void }
}): Pick<Service, 'listen' | 'stop'> {
  const { app, opened, commit, settings, purging } = parts
  let stopped: Promise<void> | undefined
  return {
    listen: async () => {
      const url = await app.listen({ host: settings.host, port: settings.port })
      await opened.announce(url)
      return url
    },
    stop: () => {
      stopped ??= (async () => {
        purging.stop()
        await stopServer(app)
        await commit.drain()
        await opened.close()
      })()
      return stopped
    },
  }
}

/** Forgets what is past its retention: soon after the start, then every hour. */
function schedulePurges(purge: () => Promise<number>, log: FastifyBaseLogger): { stop(): void } {
  const run = () => {
    purge().then(
      (removed) => log.debug({ removed }, 'purged'),
      (error: Error) => log.warn({ err: error }, 'purge failed'),
    )
  }
  const first = setTimeout(run, FIRST_PURGE_MS)
  const others = setInterval(run, PURGE_EVERY_MS)
  first.unref()
  others.unref()
  return {
    stop: () => {
      clearTimeout(first)
      clearInterval(others)
    },
  }
}
