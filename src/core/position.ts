/**
 * How far a stream has been applied, as text. Only the driver that made a position can read it; everyone
 * else hands it on unchanged.
 */
export type Position = string & { readonly __position: unique symbol }
