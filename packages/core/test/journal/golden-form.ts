import type { Entry } from '../../src/journal/entries.ts'

/** Entries as the golden files hold them: JSON, with bytes as `{ $bytes: hex }`, and undefined as `{ $undefined: true }`. */
export function ofGolden(form: unknown): Entry {
  return revived(form) as Entry
}

function revived(form: unknown): unknown {
  if (Array.isArray(form)) return form.map(revived)
  if (typeof form !== 'object' || form === null) return form
  if ('$undefined' in form) return undefined
  if ('$number' in form) return Number(form.$number)
  if ('$bytes' in form) return Uint8Array.from(Buffer.from(form.$bytes as string, 'hex'))
  return Object.fromEntries(Object.entries(form).map(([name, field]) => [name, revived(field)]))
}
