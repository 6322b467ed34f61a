import { createHash } from 'node:crypto'

const plain = /^[A-Za-z0-9_-]+$/
const hashed = /=h[0-9a-f]{32}$/
const escapes = /=(?:u([0-9A-F]{4})|([0-9A-F]{2}))/g

/**
 * Any text as one token of a subject, which may also name a consumer and stand in a header; two texts never have the same one.
 * Letters, digits, `_` and `-` stay as they are, others become `=2F` or `=u20AC`, and of a long text only the beginning is left,
 * with a hash.
 *
 * @param longest - The most characters that it may have, 64 at least; absent where the text must be told from the token again.
 */
export function tokenOf(text: string, longest = Infinity): string {
  if (text === '') return '=e'
  const token = plain.test(text) ? text : text.replace(/[^A-Za-z0-9_-]/g, escaped)
  if (token.length <= longest) return token
  // Of the code units, for an encoder would take lone surrogates for one and the same.
  const hash = createHash('sha256').update(Buffer.from(text, 'utf16le')).digest('hex').slice(0, 32)
  return `${token.slice(0, longest - 34)}=h${hash}`
}

/** The text of a token; undefined where only its hash is left. */
export function textOf(token: string): string | undefined {
  if (!token.includes('=')) return token
  if (token === '=e') return ''
  if (hashed.test(token)) return undefined
  return token.replace(escapes, (_, wide: string | undefined, narrow: string | undefined) =>
    String.fromCharCode(Number.parseInt(wide ?? narrow ?? '', 16)),
  )
}

function escaped(sign: string): string {
  const code = sign.charCodeAt(0)
  const digits = code.toString(16).toUpperCase()
  return code < 256 ? `=${digits.padStart(2, '0')}` : `=u${digits.padStart(4, '0')}`
}
