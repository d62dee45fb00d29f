/**
 * Compares two well-formed texts by code point, which is the order of their UTF-8 bytes and so the order in
 * which the stores keep keys. JavaScript's own order is by UTF-16 unit and differs beyond the basic plane.
 */
export function compareByCodePoint(left: string, right: string): number {
  const length = Math.min(left.length, right.length)
  for (let index = 0; index < length; index++) {
    const a = left.charCodeAt(index)
    const b = right.charCodeAt(index)
    if (a !== b) return rank(a) - rank(b)
  }
  return left.length - right.length
}

const SURROGATES_FROM = 0xd800
const SURROGATES_TO = 0xdfff

/** Surrogates stand for code points above every other unit. */
function rank(unit: number): number {
  return unit >= SURROGATES_FROM && unit <= SURROGATES_TO ? unit + 0x1_0000 : unit
}
