const DELETE = 0x7f
const C1_END = 0x9f
const SPACE = 0x20
const SURROGATES_FROM = 0xd800

/**
 * What keeps a text from being a key or an id, as words that follow its name ("is empty"), or `undefined`
 * if nothing does. A text has 1 to `charsMax` characters (code points, as JSON Schema counts them), is
 * well-formed Unicode and has no control character (U+0000–001F, U+007F–009F). Nothing is normalised: two
 * texts are the same only if all their code points are.
 */
export function textFlaw(text: string, charsMax: number): string | undefined {
  if (text.length === 0) return 'is empty'
  if (!isShort(text, charsMax)) return `has more than ${charsMax} characters`
  let surrogates = false
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    if (unit < SPACE || (unit >= DELETE && unit <= C1_END)) return 'has a control character'
    if (unit >= SURROGATES_FROM) surrogates = true
  }
  // Stored as UTF-8, every lone surrogate would become the same replacement character and keys would merge.
  return surrogates && !text.isWellFormed() ? 'has a lone surrogate' : undefined
}

function isShort(text: string, charsMax: number): boolean {
  if (text.length <= charsMax) return true
  if (text.length > charsMax * 2) return false
  let chars = 0
  for (const _ of text) chars++
  return chars <= charsMax
}

/** The same rule for JSON Schema, whose patterns are read with the flag `u` and so count code points. */
export function textPattern(charsMax: number): string {
  return `^[^\\u0000-\\u001f\\u007f-\\u009f\\ud800-\\udfff]{1,${charsMax}}$`
}
