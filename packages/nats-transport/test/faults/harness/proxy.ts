/** A way between a node and its server on which faults happen. */
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { Frames, type Frame } from './frames.ts'

/** A frame on its way. */
export interface Passing {
  readonly to: 'server' | 'client'
  readonly frame: Frame
  /** Number of the connection, from 1. */
  readonly connection: number
}

/** What becomes of a frame: it passes, is lost, or comes later than those after it. */
export type Verdict = 'pass' | 'drop' | { readonly afterMs: number }

interface Way {
  readonly number: number
  readonly client: Socket
  readonly server: Socket
}

/** Between clients of one server and that server: cuts, holds, loses and delays. */
export class Proxy {
  /** Asked about every frame; default all of them pass. */
  intercept: (passing: Passing) => Verdict = () => 'pass'
  /** How many connections were made through it. */
  connections = 0
  /** How many frames were lost or held back. */
  disturbed = 0
  readonly #listener: Server
  readonly #port: number
  readonly #ways = new Set<Way>()
  #isCut = false
  /** While parted: what is to go on its way afterwards, as TCP sends it again. */
  #held: (() => void)[] | undefined

  private constructor(port: number) {
    this.#port = port
    this.#listener = createServer((client) => this.#accept(client))
  }

  /** @param url - Where the server listens. */
  static async open(url: string): Promise<Proxy> {
    const proxy = new Proxy(Number(new URL(url).port))
    proxy.#listener.listen(0, '127.0.0.1')
    await once(proxy.#listener, 'listening')
    return proxy
  }

  get url(): string {
    return `nats://127.0.0.1:${(this.#listener.address() as AddressInfo).port}`
  }

  /** Ends all connections, and refuses new ones until `heal`. */
  cut(): void {
    this.#isCut = true
    for (const way of this.#ways) this.#end(way)
  }

  /** Ends all connections; new ones are taken at once. */
  drop(): void {
    for (const way of this.#ways) this.#end(way)
  }

  /** Lets nothing pass, in either direction, and nobody hears of it. What is sent meanwhile arrives after `heal`. */
  part(): void {
    this.#held ??= []
  }

  heal(): void {
    this.#isCut = false
    const held = this.#held ?? []
    this.#held = undefined
    for (const go of held) go()
  }

  async close(): Promise<void> {
    this.cut()
    this.#listener.close()
    await once(this.#listener, 'close')
  }

  #accept(client: Socket): void {
    const number = ++this.connections
    if (this.#isCut) {
      client.destroy()
      return
    }
    const server = connect({ port: this.#port, host: '127.0.0.1' })
    const way: Way = { number, client, server }
    this.#ways.add(way)
    for (const socket of [client, server]) {
      socket.setNoDelay(true)
      // The other side hears of it by the end of its own connection.
      socket.on('error', () => this.#end(way))
      socket.on('close', () => this.#end(way))
    }
    this.#relay(way, 'server')
    this.#relay(way, 'client')
  }

  #end(way: Way): void {
    if (!this.#ways.delete(way)) return
    way.client.destroy()
    way.server.destroy()
  }

  #relay(way: Way, to: Passing['to']): void {
    const [from, target] = to === 'server' ? [way.client, way.server] : [way.server, way.client]
    const frames = new Frames()
    from.on('data', (chunk: Buffer) => {
      for (const frame of frames.push(chunk)) this.#pass({ to, frame, connection: way.number }, target)
    })
  }

  #pass(passing: Passing, target: Socket): void {
    const send = (): void => {
      if (!target.destroyed) target.write(passing.frame.raw)
    }
    const go = (): void => {
      if (this.#held === undefined) send()
      else this.#held.push(send)
    }
    const verdict = this.intercept(passing)
    if (verdict === 'pass') {
      go()
      return
    }
    this.disturbed++
    if (verdict !== 'drop') setTimeout(go, verdict.afterMs)
  }
}
