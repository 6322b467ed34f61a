/** What the server says of a delivery in the subject that it is acknowledged on. */
export interface DeliveryFacts {
  /** How often it was delivered, from 1; deliveries of a server's last moments are forgotten. */
  readonly deliveries: number
  /** Sequence of the message in its stream. */
  readonly seq: number
  /** When its stream stored it: nanoseconds since 1970, in digits. */
  readonly storedAt: string
  /** Messages that its consumer has left to deliver. */
  readonly pending: number
}

const prefix = '$JS.ACK.'

/** Whether a message is a delivery, and no news of a pull. */
export function isDelivery(reply: string | undefined): reply is string {
  return reply !== undefined && reply.startsWith(prefix)
}

/**
 * Reads the subject: `$JS.ACK.<stream>.<consumer>.<deliveries>.<stream seq>.<consumer seq>.<time>.<pending>`, or the newer
 * form, which has a domain and the hash of an account in front, and may have more behind.
 */
export function deliveryFacts(reply: string): DeliveryFacts {
  const tokens = reply.split('.')
  const at = tokens.length === 9 ? 4 : 6
  return {
    deliveries: Number(tokens[at]),
    seq: Number(tokens[at + 1]),
    storedAt: tokens[at + 3] ?? '0',
    pending: Number(tokens[at + 4]),
  }
}
