import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import type { LedgerLine } from '../core/batch.ts'
import type { Distribution } from './plain-histogram.ts'
import { PlainHistogram } from './plain-histogram.ts'

/** Upper bounds, seconds. */
const DURATION_BUCKETS = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
] as const
const COMMIT_EVENTS_BUCKETS = [1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000] as const
/** Gauges of the library that end in `_total`, which Prometheus keeps for counters. */
const MISNAMED = [
  'nodejs_active_handles_total',
  'nodejs_active_requests_total',
  'nodejs_active_resources_total',
]

/** Counts the requests of one route and method. */
export interface RouteTimer {
  observe(status: number, durationMs: number): void
}

/** What the service tells Prometheus; docs/metrics.md lists the names. */
export interface Metrics {
  /** Call once per route and method; the timer is cheap enough for every request. */
  route(route: string, method: string): RouteTimer
  /** Call after each commit of the store: how long it took (milliseconds) and how many events it held. */
  commit(durationMs: number, events: number): void
  /** Events counted, duplicate, rejected and waiting, and what is missing, from the ledger of this moment. */
  watchLedger(ledger: () => readonly LedgerLine[]): void
  /** How many live subscribers there are now. */
  watchSubscribers(subscribers: () => number): void
  /** The store's own numbers by name with unit; published as `tally_store_<name>`. */
  watchStore(gauges: () => Readonly<Record<string, number>>): void
  /** The text exposition format of Prometheus. */
  text(): Promise<string>
  readonly contentType: string
}

export function createMetrics(): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  for (const name of MISNAMED) registry.removeSingleMetric(name)

  const requests = new PlainHistogram({
    name: 'tally_http_request_duration_seconds',
    help: 'Time from the request line to the answer, by route, method and class of status',
    labelNames: ['route', 'method', 'status'],
    buckets: DURATION_BUCKETS,
  })
  const commitDuration = new PlainHistogram({
    name: 'tally_commit_duration_seconds',
    help: 'Time of one commit of the store, fsync included',
    labelNames: [],
    buckets: DURATION_BUCKETS,
  })
  const commitEvents = new PlainHistogram({
    name: 'tally_commit_events',
    help: 'Events in one commit of the store',
    labelNames: [],
    buckets: COMMIT_EVENTS_BUCKETS,
  })
  for (const histogram of [requests, commitDuration, commitEvents]) registry.registerMetric(histogram)
  const durations = commitDuration.bind({})
  const sizes = commitEvents.bind({})

  return {
    route: (route, method) => routeTimer(requests, route, method),
    commit(durationMs, events) {
      durations.observe(durationMs / 1_000)
      sizes.observe(events)
    },
    watchLedger: (ledger) => watchLedger(registry, ledger),
    watchSubscribers(subscribers) {
      new Gauge({
        name: 'tally_live_subscribers',
        help: 'Live subscribers now, over Server-Sent Events and WebSocket',
        registers: [registry],
        collect() {
          this.set(subscribers())
        },
      })
    },
    watchStore: (gauges) => watchStore(registry, gauges),
    text: () => registry.metrics(),
    contentType: registry.contentType,
  }
}

/** One distribution for each class of status, bound when it first occurs. */
function routeTimer(histogram: PlainHistogram, route: string, method: string): RouteTimer {
  const byClass: (Distribution | undefined)[] = []
  return {
    observe(status, durationMs) {
      const statusClass = Math.floor(status / 100)
      let distribution = byClass[statusClass]
      if (distribution === undefined) {
        distribution = histogram.bind({ route, method, status: `${statusClass}xx` })
        byClass[statusClass] = distribution
      }
      distribution.observe(durationMs / 1_000)
    },
  }
}

function watchLedger(registry: Registry, ledger: () => readonly LedgerLine[]): void {
  new Counter({
    name: 'tally_events_total',
    help: 'Events by stream and what became of them; durable, so it does not begin at 0 after a restart',
    labelNames: ['stream', 'outcome'],
    registers: [registry],
    collect() {
      this.reset()
      for (const { stream, counted, duplicate, rejected } of ledger()) {
        this.inc({ stream, outcome: 'counted' }, counted)
        this.inc({ stream, outcome: 'duplicate' }, duplicate)
        this.inc({ stream, outcome: 'rejected' }, rejected)
      }
    },
  })
  new Gauge({
    name: 'tally_queue_events',
    help: 'Events received and not yet committed',
    registers: [registry],
    collect() {
      this.set(ledger().reduce((sum, line) => sum + line.pending, 0))
    },
  })
  new Gauge({
    name: 'tally_ledger_difference',
    help: 'received - counted - duplicate - rejected - pending; anything but 0 is a lost or invented event',
    labelNames: ['stream'],
    registers: [registry],
    collect() {
      this.reset()
      for (const line of ledger()) {
        const { stream, received, counted, duplicate, rejected, pending } = line
        this.set({ stream }, received - counted - duplicate - rejected - pending)
      }
    },
  })
}

function watchStore(registry: Registry, gauges: () => Readonly<Record<string, number>>): void {
  for (const name of Object.keys(gauges())) {
    new Gauge({
      name: `tally_store_${name}`,
      help: `The store's ${name.replaceAll('_', ' ')}`,
      registers: [registry],
      collect() {
        this.set(gauges()[name] ?? 0)
      },
    })
  }
}
