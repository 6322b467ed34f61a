/** A client of NATS in fifty lines: what a program in any language has to speak. It knows nothing of Troupe, and no library. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

export interface RawMessage {
  readonly subject: string
  readonly payload: Buffer
}

/** Subscribes, and keeps what comes. */
export class RawClient {
  readonly messages: RawMessage[] = []
  /** What the server refused: `-ERR` lines. */
  readonly errors: string[] = []
  readonly #socket: Socket
  readonly #waits = new Set<() => void>()
  #bytes = Buffer.alloc(0)
  #pongs = 0

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (data) => {
      this.#bytes = Buffer.concat([this.#bytes, data])
      while (this.#take());
      for (const look of this.#waits) look()
    })
  }

  /** Connects, and resolves when the server knows of the subscriptions. */
  static async subscribe(url: string, subjects: readonly string[], options: object = {}): Promise<RawClient> {
    const { hostname, port } = new URL(url.includes('://') ? url : `nats://${url}`)
    const socket = connect(Number(port), hostname)
    await once(socket, 'connect')
    const client = new RawClient(socket)
    socket.write(
      `CONNECT ${JSON.stringify({ verbose: false, pedantic: false, headers: true, ...options })}\r\n`,
    )
    subjects.forEach((subject, index) => socket.write(`SUB ${subject} ${index + 1}\r\n`))
    await client.flush()
    return client
  }

  /** Resolves when all that the server had for it has come. */
  async flush(): Promise<void> {
    const before = this.#pongs
    this.#socket.write('PING\r\n')
    await this.until(() => this.#pongs > before)
  }

  async until(isEnough: (messages: readonly RawMessage[]) => boolean): Promise<void> {
    await new Promise<void>((resolve) => {
      const look = (): void => {
        if (!isEnough(this.messages)) return
        this.#waits.delete(look)
        resolve()
      }
      this.#waits.add(look)
      look()
    })
  }

  /** Reads nothing any more; the server's patience is put to the test. */
  pause(): void {
    this.#socket.pause()
  }

  close(): void {
    this.#socket.destroy()
  }

  #take(): boolean {
    const end = this.#bytes.indexOf('\r\n')
    if (end === -1) return false
    const line = this.#bytes.toString('utf8', 0, end)
    const [verb = '', subject = '', , ...rest] = line.split(' ')
    if (verb === 'MSG' || verb === 'HMSG') {
      const size = Number(rest.at(-1))
      const headers = verb === 'HMSG' ? Number(rest.at(-2)) : 0
      const from = end + 2
      if (this.#bytes.length < from + size + 2) return false
      this.messages.push({ subject, payload: Buffer.from(this.#bytes.subarray(from + headers, from + size)) })
      this.#bytes = this.#bytes.subarray(from + size + 2)
      return true
    }
    if (verb === 'PING') this.#socket.write('PONG\r\n')
    else if (verb === 'PONG') this.#pongs++
    else if (verb === '-ERR') this.errors.push(line)
    this.#bytes = this.#bytes.subarray(end + 2)
    return true
  }
}
