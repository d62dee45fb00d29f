import type { Routes } from '../../src/server/route.ts'

/** One route that reads like the query stage, and one that writes. */
export const smallRoutes: Routes = (app) => {
  app.get<{ Params: { counter: string; key?: string } }>(
    '/v1/counters/:counter/:key',
    { config: { scope: 'read', perKey: true } },
    ({ params, access, query }, reply) => {
      reply
        .code(access.mayRead(params.counter, params.key) ? 200 : 403)
        .send({ principal: access.principal, query })
    },
  )
  app.post('/v1/write', { config: { scope: 'write' } }, (_request, reply) => {
    reply.send({ written: true })
  })
}
