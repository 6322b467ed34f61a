import { TroupeError } from '@troupe/core'
import type { Connected } from '../connection/connected.ts'
import { NodePresence } from './presence.ts'
import type { Ask, Failure, FromPresence, PresenceData, ToPresence } from './wires.ts'

/** Connects, again and again until it works or is closed. */
export type Connect = (
  report: (error: unknown) => void,
  isClosed: () => boolean,
) => Promise<Connected | undefined>

/** Presence as a server of messages, in a thread or in the node's own. */
export class ServedPresence {
  readonly #send: (message: FromPresence) => void
  readonly #presence: Promise<NodePresence | undefined>
  #isClosed = false

  constructor(data: PresenceData, connect: Connect, send: (message: FromPresence) => void) {
    this.#send = send
    const report = (error: unknown): void => send({ kind: 'report', failure: failureOf(error) })
    this.#presence = connect(report, () => this.#isClosed).then((connected) => {
      if (connected === undefined) return undefined
      return new NodePresence(connected, data, {
        lost: (node) => send({ kind: 'lost', node }),
        away: (why) => send({ kind: 'away', why }),
        report,
      })
    })
  }

  take(message: ToPresence): void {
    if (message.kind === 'table') {
      void this.#presence.then((presence) => presence?.addTable(message.table))
      return
    }
    const { id, ask } = message
    this.#do(ask).then(
      (value) => this.#send({ kind: 'answer', id, value }),
      (error: unknown) => this.#send({ kind: 'failed', id, failure: failureOf(error) }),
    )
  }

  async #do(ask: Ask): Promise<unknown> {
    if (ask.op === 'close') this.#isClosed = true
    const presence = await this.#presence
    if (presence === undefined) return undefined
    switch (ask.op) {
      case 'announce':
        return presence.announce(ask)
      case 'withdraw':
        return presence.withdraw(ask.node)
      case 'gone':
        return presence.gone(ask.nodes)
      case 'list':
        return presence.list()
      case 'listen':
        return presence.listen()
      case 'back':
        return presence.back()
      case 'close':
        return presence.close()
    }
  }
}

function failureOf(error: unknown): Failure {
  if (TroupeError.is(error)) {
    const { code, message, details } = error
    return { code, message, details: plain(details) }
  }
  return {
    code: 'TRANSPORT_UNAVAILABLE',
    message: error instanceof Error ? error.message : String(error),
    details: {},
  }
}

/** What can go from thread to thread for sure. */
function plain(details: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(details).filter(([, value]) => ['string', 'number', 'boolean'].includes(typeof value)),
  )
}
