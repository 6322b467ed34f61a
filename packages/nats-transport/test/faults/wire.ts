import { createConnection, createServer, type Server, type Socket } from 'node:net'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'

/** A message on its way to a client. */
export interface Frame {
  readonly subject: string
  readonly payload: string
}

/** A wire between clients and a server that can be cut, and that loses what it is told to lose. */
export class Wire {
  readonly url: string
  /** Messages that were lost. */
  readonly lost: Frame[] = []
  readonly #server: Server
  readonly #port: number
  readonly #sockets = new Set<Socket>()
  #loses: ((frame: Frame) => boolean) | undefined
  #isCut = false

  private constructor(server: Server, port: number) {
    this.#server = server
    this.#port = port
    this.url = `127.0.0.1:${(server.address() as AddressInfo).port}`
    server.on('connection', (socket) => this.#connect(socket))
  }

  static async to(port: number): Promise<Wire> {
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new Wire(server, port)
  }

  /** Loses the messages to clients for which it is so, until it is told otherwise. */
  lose(which: ((frame: Frame) => boolean) | undefined): void {
    this.#loses = which
  }

  /** Loses so many answers of a stream to publishes. Resolves when they are lost. */
  loseAnswers(count: number): Promise<void> {
    return new Promise((resolve) => {
      let left = count
      this.lose(({ payload }) => {
        // A yes or a no: both name the stream, and a sequence.
        const isAnswer = payload.includes('"stream":') && payload.includes('"seq":')
        if (left === 0 || !isAnswer || payload.includes('"config":')) return false
        left--
        if (left === 0) resolve()
        return true
      })
    })
  }

  /** Ends all connections; others are refused until it is mended. */
  cut(): void {
    this.#isCut = true
    for (const socket of this.#sockets) socket.destroy()
  }

  mend(): void {
    this.#isCut = false
  }

  async close(): Promise<void> {
    this.cut()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #connect(client: Socket): void {
    if (this.#isCut) {
      client.destroy()
      return
    }
    const server = createConnection(this.#port, '127.0.0.1')
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      one.setNoDelay(true)
      this.#sockets.add(one)
      one.on('close', () => {
        this.#sockets.delete(one)
        other.destroy()
      })
      one.on('error', () => other.destroy())
    }
    client.on('data', (bytes) => server.write(bytes))
    const frames = new Frames((frame, bytes) => {
      if (frame !== undefined && this.#loses?.(frame) === true) this.lost.push(frame)
      else client.write(bytes)
    })
    server.on('data', (bytes) => frames.add(bytes))
  }
}

/** Cuts what a server sends into lines, and messages with their payload. */
class Frames {
  readonly #tell: (frame: Frame | undefined, bytes: Buffer) => void
  #rest: Buffer = Buffer.alloc(0)

  constructor(tell: (frame: Frame | undefined, bytes: Buffer) => void) {
    this.#tell = tell
  }

  add(bytes: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, bytes])
    for (;;) {
      const line = this.#rest.indexOf('\r\n')
      if (line === -1) return
      const words = this.#rest.subarray(0, line).toString('latin1').split(' ')
      const isMessage = words[0] === 'MSG' || words[0] === 'HMSG'
      const end = line + 2 + (isMessage ? Number(words.at(-1)) + 2 : 0)
      if (this.#rest.length < end) return
      const frame = this.#rest.subarray(0, end)
      this.#rest = this.#rest.subarray(end)
      const payload = frame.subarray(line + 2).toString('latin1')
      this.#tell(isMessage ? { subject: words[1] ?? '', payload } : undefined, frame)
    }
  }
}
