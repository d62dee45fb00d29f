import type { FastifyReply } from 'fastify'
import { CSV_TYPE } from './csv.ts'

export const JSON_TYPE = 'application/json; charset=utf-8'

/** Serializers made from the response schemas would drop what they don't know and cost more than this. */
export function asJson(): (value: unknown) => string {
  return (value) => JSON.stringify(value)
}

/** A text of JSON that changes with every count. */
export function sendJson(reply: FastifyReply, text: string): FastifyReply {
  return reply.header('content-type', JSON_TYPE).header('cache-control', 'no-store').send(text)
}

/** Either form of an answer that Accept chooses. */
export function sendTable(reply: FastifyReply, text: string, type: 'json' | 'csv'): FastifyReply {
  return reply
    .header('content-type', type === 'json' ? JSON_TYPE : CSV_TYPE)
    .header('cache-control', 'no-store')
    .header('vary', 'Accept')
    .send(text)
}
