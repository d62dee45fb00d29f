import { Type } from 'typebox'
import { TallyError } from '../core/errors.ts'
import type { StoreHealth } from '../store/store.ts'
import type { Metrics } from './metrics.ts'
import type { Routes } from './route.ts'

export interface HealthRoutesDeps {
  readonly metrics: Metrics
  readonly storeHealth: () => StoreHealth
  readonly isStopping: () => boolean
}

const Ok = Type.Object({ status: Type.Literal('ok') })
const OK = '{"status":"ok"}'

/** The probes and the metrics. */
export function healthRoutes({ metrics, storeHealth, isStopping }: HealthRoutesDeps): Routes {
  return (app) => {
    app.get(
      '/health/live',
      {
        config: { scope: 'public' },
        schema: { tags: ['service'], summary: 'Whether the process runs', response: { 200: Ok } },
      },
      (_request, reply) => {
        reply.header('content-type', 'application/json; charset=utf-8').send(OK)
      },
    )
    app.get(
      '/health/ready',
      {
        config: { scope: 'public' },
        schema: {
          tags: ['service'],
          summary: 'Whether it takes events; a problem says why not',
          response: { 200: Ok },
        },
      },
      (_request, reply) => {
        if (isStopping()) throw new TallyError('shutting_down', 'The service is stopping')
        const { state, message } = storeHealth()
        if (state !== 'ok') throw new TallyError(state, message ?? 'The store takes no writes')
        reply.header('content-type', 'application/json; charset=utf-8').send(OK)
      },
    )
    app.get(
      '/metrics',
      {
        config: { scope: 'read' },
        schema: { tags: ['service'], summary: 'Numbers for Prometheus', produces: ['text/plain'] },
      },
      async (_request, reply) => reply.header('content-type', metrics.contentType).send(await metrics.text()),
    )
  }
}
