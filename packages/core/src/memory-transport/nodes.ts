import { JournalError } from '../base/errors.ts'
import type { ClusterNodes, NodeInfo } from '../ports/nodes.ts'
import type { Wire } from './wire.ts'

type Answerer = (question: Uint8Array) => Promise<Uint8Array>

interface Member {
  readonly wire: Wire
  readonly info: NodeInfo
}

/** Which nodes are there, and what they tell each other. */
export class Members {
  readonly #members = new Map<string, Member>()
  readonly #answerers = new Map<string, { readonly wire: Wire; readonly answer: Answerer }>()
  readonly #listeners = new Set<(node: string) => void>()

  /** What one node has of it. */
  at(wire: Wire): ClusterNodes {
    const { world } = wire
    return {
      announce: (node, { flows, queues } = { node, flows: [], queues: {} }) => {
        const info: NodeInfo = { node, flows: [...flows], queues: { ...queues } }
        return wire.call(() => this.#announce(node, { wire, info }))
      },
      gone: (nodes) => wire.call(() => nodes.filter((node) => !this.#members.has(node))),
      withdraw: (node) => wire.call(() => this.#withdraw(node)),
      list: () => wire.call(() => Array.from(this.#members.values(), ({ info }) => info)),
      lost: (listener) =>
        wire.listen(listener, (tell) => {
          const told = (node: string): void => {
            wire.downLate(() => tell(node), 'waits')
            if (world.happens(world.settings.faults.double)) wire.downLate(() => tell(node), 'waits')
          }
          this.#listeners.add(told)
          return () => void this.#listeners.delete(told)
        }),
      answer: (node, listener) => {
        const own = { wire, answer: listener }
        this.#answerers.set(node, own)
        return () => {
          if (this.#answerers.get(node) === own) this.#answerers.delete(node)
        }
      },
      ask: (node, question, withinMs) => this.#ask(wire, { node, question: question.slice(), withinMs }),
    }
  }

  /** Names that were announced by a node. */
  namesOf(wire: Wire): readonly [string, NodeInfo][] {
    return [...this.#members].flatMap(([name, member]) => (member.wire === wire ? [[name, member.info]] : []))
  }

  /** A node is found to be gone. */
  lose(wire: Wire): void {
    for (const [name] of this.namesOf(wire)) this.#withdraw(name)
    if (wire.state === 'cut') return
    for (const [name, answerer] of this.#answerers) if (answerer.wire === wire) this.#answerers.delete(name)
  }

  /** A node that was cut off is there again, but for names that others took. */
  return(wire: Wire, names: readonly [string, NodeInfo][]): void {
    for (const [name, info] of names) if (!this.#members.has(name)) this.#members.set(name, { wire, info })
  }

  #announce(node: string, member: Member): void {
    const before = this.#members.get(node)
    if (before !== undefined && before.wire.state !== 'dead') {
      const message = `a node named ${node} is there; give each node a name of its own`
      throw new JournalError('NODE_IN_USE', message, { details: { node } })
    }
    // The one before is dead, which nobody had noticed.
    if (before !== undefined) this.#withdraw(node)
    this.#members.set(node, member)
  }

  #withdraw(node: string): void {
    if (this.#members.delete(node)) for (const told of this.#listeners) told(node)
  }

  #ask(
    wire: Wire,
    { node, question, withinMs }: { node: string; question: Uint8Array; withinMs: number },
  ): Promise<Uint8Array | undefined> {
    if (wire.state === 'closed') return wire.refuse()
    return new Promise((resolve) => {
      let stop = (): void => undefined
      const come = (bytes: Uint8Array | undefined): void => {
        stop()
        resolve(bytes)
      }
      stop = wire.after(withinMs, () => come(undefined))
      wire.up(() => {
        const answerer = this.#answerers.get(node)
        if (!this.#members.has(node) || answerer === undefined) {
          wire.down(() => come(undefined))
          return
        }
        const reply = (bytes: Uint8Array): void => answerer.wire.up(() => this.#down(wire, () => come(bytes)))
        const answer = async (): Promise<Uint8Array> => (await answerer.answer(question)).slice()
        this.#down(answerer.wire, () => {
          // What it throws goes to nobody.
          if (answerer.wire.state !== 'closed') void answer().then(reply, () => undefined)
        })
      })
    })
  }

  /** Perhaps, and perhaps late. */
  #down(wire: Wire, fn: () => void): void {
    const { world } = wire
    if (!world.happens(world.settings.faults.lose)) wire.downLate(fn)
  }
}
