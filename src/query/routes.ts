import type { LedgerLine } from '../core/batch.ts'
import type { Counters } from '../core/counter.ts'
import type { Routes } from '../server/route.ts'
import type { Store } from '../store/store.ts'
import { asJson } from './answer.ts'
import { PositionWaiters } from './position-waiters.ts'
import { addReadingRoutes } from './reading-routes.ts'
import { LEDGER_DOCS } from './route-docs.ts'
import { addSeriesRoutes } from './series-routes.ts'
import { createWhenReached } from './when-reached.ts'

export interface QueryDeps {
  readonly store: Pick<Store, 'readings' | 'top' | 'series' | 'positions'>
  readonly counters: Counters
  /** The declared counter behind `/stats/{bannerId}`. */
  readonly statsCounter: string
  /** The clock, milliseconds since the epoch. */
  readonly now: () => number
  /** The ledger now, with what is waiting. */
  readonly ledger: () => LedgerLine[]
}

/** The doors for readings: values, series and the ledger. Nothing here changes anything. */
export function queryRoutes(deps: QueryDeps): Routes {
  return async (app) => {
    await app.register(async (scoped) => {
      const waiters = new PositionWaiters(deps.store.positions, () => performance.now())
      scoped.addHook('preClose', async () => waiters.stop())
      const whenReached = createWhenReached(waiters)
      addReadingRoutes(scoped, deps, whenReached)
      addSeriesRoutes(scoped, deps, whenReached)
      scoped.get(
        '/v1/ledger',
        { config: { scope: 'read' }, schema: LEDGER_DOCS, serializerCompiler: asJson },
        (_request, reply) => {
          reply.header('cache-control', 'no-store').send({ streams: deps.ledger().map(withDifference) })
        },
      )
    })
  }
}

function withDifference(line: LedgerLine): LedgerLine & { difference: number } {
  const { received, counted, duplicate, rejected, pending } = line
  return { ...line, difference: received - counted - duplicate - rejected - pending }
}
