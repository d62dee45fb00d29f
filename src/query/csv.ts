export const CSV_TYPE = 'text/csv; charset=utf-8; header=present'

/** Rows as RFC 4180, a header first. Numbers are written as they are. */
export function csvText(header: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  let text = `${header.join(',')}\r\n`
  for (const row of rows) text += `${row.map(csvField).join(',')}\r\n`
  return text
}

/**
 * A text that a spreadsheet would run as a formula gets an apostrophe in front (OWASP, "CSV Injection"): keys
 * are chosen by whoever sends events, and opened by someone else. JSON has the exact text.
 */
function csvField(value: string | number): string {
  if (typeof value === 'number') return String(value)
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
