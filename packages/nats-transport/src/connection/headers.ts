import type { MsgHdrs } from '@nats-io/transport-node'

const encoder = new TextEncoder()

/** Headers as the client wants them, of lines that are ready. The client asks such an object for its bytes and nothing else. */
export function headersOf(lines: string): MsgHdrs {
  const bytes = encoder.encode(`NATS/1.0\r\n${lines}\r\n`)
  return { encode: () => bytes } as unknown as MsgHdrs
}

/** JSON as the value of a header: some tools read headers as Latin-1, and others as UTF-8. */
export function asciiOf(value: unknown): string {
  return JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
