import type { Append, Delivery, Offer, QueueName, Station, Transport, TransportHost } from '@troupe/core'

/** Who looks on while nodes use their transport. */
export interface Spy {
  /** Something is asked of the transport. @returns What is to happen before it, and after it: whether the node dies of that. */
  asks(node: string, what: string): { before(): void; after(): boolean } | undefined
  /** For whoever reads the log. */
  says(node: string, what: string): void
  /** A node gets something from a queue. */
  gets(node: string, queue: QueueName, delivery: Delivery): void
  /** Something is offered to a queue. */
  offers(node: string, offer: Offer): void
  /** An append was stored and answered. */
  appended(node: string, append: Append): void
}

const never = new Promise<never>(() => undefined)

type Method = (...args: unknown[]) => unknown

/** What an object has, and what its class has. */
function spied<T extends object>(
  port: T,
  asked: (name: string, method: Method, args: unknown[]) => unknown,
): T {
  return new Proxy(port, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name)
      if (typeof value !== 'function' || typeof name === 'symbol') return value
      return (...args: unknown[]) => asked(name, (value as Method).bind(target), args)
    },
  })
}

/** A transport whose nodes may die at everything that they ask of it. */
export function spiedTransport(transport: Transport, spy: Spy): Transport {
  return {
    name: transport.name,
    open(host: TransportHost): Station {
      const station = transport.open(host)
      const watch = <T extends object>(port: T, portName: string): T =>
        spied(port, (name, method, args) => {
          const answer = (): unknown => {
            const given = method(...args)
            if (name !== 'append') return given
            return (given as Promise<unknown>).then((refused) => {
              if (refused === undefined) spy.appended(host.node, args[0] as Append)
              return refused
            })
          }
          if (name === 'take') {
            const [queue, listener] = args as Parameters<Station['queue']['take']>
            const taken: typeof listener = (delivery) => {
              spy.gets(host.node, queue, delivery)
              listener({
                ...delivery,
                done: () => {
                  spy.says(host.node, `has done ${delivery.id}`)
                  delivery.done()
                },
                handBack: (delayMs) => {
                  spy.says(host.node, `hands back ${delivery.id}`)
                  delivery.handBack(delayMs)
                },
              })
            }
            return method(queue, taken)
          }
          if (name === 'offer') spy.offers(host.node, args[0] as Offer)
          if (name === 'subscribe' || name === 'answer' || name === 'lost' || name === 'take')
            return method(...args)
          const acts = spy.asks(host.node, `${portName}.${name}`)
          if (acts === undefined) return answer()
          acts.before()
          const given = answer()
          if (!(given instanceof Promise)) return given
          // Who dies of the answer does not hear it.
          return given.then((value: unknown) => (acts.after() ? never : value))
        })
      const { journal, mailbox, nodes, cache, queue, register } = station
      return {
        journal: watch(journal, 'journal'),
        mailbox: watch(mailbox, 'mailbox'),
        nodes: watch(nodes, 'nodes'),
        cache: watch(cache, 'cache'),
        queue: watch(queue, 'queue'),
        register: watch(register, 'register'),
        close: () => station.close(),
      }
    },
  }
}
