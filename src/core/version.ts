/** The version of this release; package.json carries the same, which the tidy test holds. */
export const VERSION = '0.1.0'
