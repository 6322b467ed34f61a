import { JournalError, type ErrorCode, type NodeInfo, type TransportHost } from '@troupe/core'
import type { Settings } from '../options.ts'
import type { Times } from '../times.ts'
import { connectBy } from './connect.ts'
import { Leases } from './leases.ts'
import { ServedPresence } from './served.ts'
import { spawn } from './spawn.ts'
import {
  awayFor,
  awayWord,
  beatWord,
  fencedAfter,
  pulseWords,
  type Ask,
  type Away,
  type Failure,
  type FromPresence,
  type PresenceData,
  type ToPresence,
} from './wires.ts'

/** How often the node shows that its event loop turns. */
const beatMs = 250
/** Between two tries to be there again, at least and at most. */
const retryMs = [1_000, 30_000] as const

/** What is left of a thread, or of what stands in for it. */
interface Running {
  send(message: ToPresence): void
  end(): Promise<void>
}

interface Waiting {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
  readonly ask: Ask
}

export interface PresenceParts {
  readonly settings: Settings
  readonly host: TransportHost
  readonly times: Times
}

/**
 * The node's end of its presence, which has a thread of its own. Where the user makes the connections, no thread can have one, and presence
 * runs in the node's thread: there it ends sooner when the event loop is blocked.
 */
export class Presence {
  readonly leases: Leases
  readonly #parts: PresenceParts
  readonly #pulse = new Int32Array(new SharedArrayBuffer(pulseWords * 4))
  readonly #waiting = new Map<number, Waiting>()
  readonly #lost = new Set<(node: string) => void>()
  readonly #away = new Set<() => void>()
  readonly #announced = new Map<string, Ask & { op: 'announce' }>()
  #running: Running | undefined
  #beat: NodeJS.Timeout | undefined
  /** While no thread looks how long no server has heard of the node. */
  #fence: NodeJS.Timeout | undefined
  #asked = 0
  #closing: Promise<void> | undefined

  constructor(parts: PresenceParts) {
    this.#parts = parts
    this.leases = new Leases((table) => this.#running?.send({ kind: 'table', table }))
  }

  /** Whether the node counts as gone, or soon will. */
  get away(): boolean {
    return Atomics.load(this.#pulse, awayWord) !== awayFor.there
  }

  /** Begins, where it has not. */
  start(): void {
    if (this.#running !== undefined || this.#closing !== undefined) return
    this.#beat ??= setInterval(() => Atomics.add(this.#pulse, beatWord, 1), beatMs).unref()
    const { settings, host, times } = this.#parts
    const data: PresenceData = {
      namespace: settings.namespace,
      inboxPrefix: settings.inboxPrefix,
      label: `troupe ${settings.namespace} ${host.node} presence`,
      replicas: settings.replicas ?? 1,
      storage: settings.storage,
      times,
      maxBlockedMs: settings.maxBlockedMs,
      pulse: this.#pulse.buffer as SharedArrayBuffer,
    }
    this.#running =
      settings.dial === undefined ? this.#inline(data) : this.#thread({ ...data, dial: settings.dial })
    for (const table of this.leases.tables) this.#running.send({ kind: 'table', table })
  }

  /** @throws JournalError `NODE_IN_USE`, `TRANSPORT_UNAVAILABLE` */
  async announce(node: string, info: NodeInfo): Promise<void> {
    const { random } = this.#parts.host
    const session = Array.from({ length: 4 }, () => random.uint32().toString(36)).join('')
    const ask = { op: 'announce', node, session, info, isAgain: false } as const
    await this.#ask(ask)
    this.#announced.set(node, ask)
  }

  async withdraw(node: string): Promise<void> {
    this.#announced.delete(node)
    await this.#ask({ op: 'withdraw', node })
  }

  async gone(nodes: readonly string[]): Promise<readonly string[]> {
    return (await this.#ask({ op: 'gone', nodes })) as readonly string[]
  }

  async list(): Promise<readonly NodeInfo[]> {
    return (await this.#ask({ op: 'list' })) as readonly NodeInfo[]
  }

  onLost(listener: (node: string) => void): () => void {
    this.#lost.add(listener)
    return () => void this.#lost.delete(listener)
  }

  /** Calls `listener` when the node has been away, before anybody else is told. */
  onAway(listener: () => void): () => void {
    this.#away.add(listener)
    return () => void this.#away.delete(listener)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  /** Ends the thread as if it had failed: for tests. */
  async endThread(): Promise<void> {
    await this.#running?.end()
  }

  /** As a process that is killed: for tests. */
  async kill(): Promise<void> {
    clearInterval(this.#beat)
    clearTimeout(this.#fence)
    const running = this.#running
    this.#closing = Promise.resolve()
    await running?.end()
  }

  async #close(): Promise<void> {
    clearInterval(this.#beat)
    clearTimeout(this.#fence)
    const running = this.#running
    if (running !== undefined) {
      await this.#send(running, { op: 'close' }).catch((error: unknown) => this.#parts.host.report(error))
      this.#running = undefined
      await running.end()
    }
    const error = closed()
    for (const { reject } of this.#waiting.values()) reject(error)
    this.#waiting.clear()
  }

  async #ask(ask: Ask): Promise<unknown> {
    if (this.#closing !== undefined) throw closed()
    this.start()
    if (this.#running === undefined) throw closed()
    return this.#send(this.#running, ask)
  }

  #send(running: Running, ask: Ask): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const id = ++this.#asked
      this.#waiting.set(id, { resolve, reject, ask })
      running.send({ kind: 'ask', id, ask })
    })
  }

  #thread(data: PresenceData & Parameters<typeof spawn>[0]): Running {
    const worker = spawn(data)
    let error: unknown
    worker.on('message', (message: FromPresence) => this.#take(message))
    worker.on('error', (thrown) => (error = thrown))
    worker.on('exit', () => this.#ended(running, error))
    const running: Running = {
      send: (message) => worker.postMessage(message),
      end: async () => void (await worker.terminate()),
    }
    return running
  }

  #inline(data: PresenceData): Running {
    const { connection } = this.#parts.settings
    const connect = connectBy(() => (connection === undefined ? Promise.reject(closed()) : connection()), {
      inboxPrefix: data.inboxPrefix,
      where: 'the server of the given connection',
      label: data.label,
    })
    const served = new ServedPresence(data, connect, (message) => this.#take(message))
    return { send: (message) => served.take(message), end: async () => {} }
  }

  /** The thread has ended, though nobody asked it to. */
  #ended(running: Running, error: unknown): void {
    if (this.#running !== running || this.#closing !== undefined) return
    this.#running = undefined
    this.#parts.host.report(
      new JournalError(
        'TRANSPORT_UNAVAILABLE',
        "the thread of the node's presence has ended; starting it again",
        {
          cause: error,
          details: { reason: 'presence' },
        },
      ),
    )
    const asks = [...this.#waiting.values()].filter(({ ask }) => ask.op !== 'announce')
    // Those that are repeated are, once more.
    const unannounced = [...this.#waiting.values()].filter(({ ask }) => ask.op === 'announce' && !ask.isAgain)
    this.#waiting.clear()
    this.start()
    const next = this.#running as Running | undefined
    if (next === undefined) return
    if (this.#announced.size > 0) this.#announceAgain(next)
    for (const { ask, resolve, reject } of [...unannounced, ...asks])
      this.#send(next, ask).then(resolve, reject)
  }

  /** Others may count the node as gone by now, or soon: the new thread finds out, and tells it before it takes its name again. */
  #announceAgain(running: Running): void {
    const { keyLifeMs, refreshMs } = this.#parts.times
    this.#fence ??= setTimeout(() => this.#fenced(), keyLifeMs * fencedAfter - refreshMs).unref()
    const again = Array.from(this.#announced.values(), (ask) =>
      this.#send(running, { ...ask, isAgain: true }),
    )
    Promise.all(again).then(
      () => {
        clearTimeout(this.#fence)
        this.#fence = undefined
      },
      (error: unknown) => {
        if (this.#closing === undefined) this.#parts.host.report(error)
      },
    )
  }

  /** The new thread has not been heard by a server in time. */
  #fenced(): void {
    this.#fence = undefined
    if (this.#closing !== undefined || this.#announced.size === 0) return
    const before = Atomics.compareExchange(this.#pulse, awayWord, awayFor.there, awayFor.cutOff)
    if (before === awayFor.there) this.#wasAway(awayFor.cutOff)
  }

  #take(message: FromPresence): void {
    switch (message.kind) {
      case 'answer':
      case 'failed': {
        const waiting = this.#waiting.get(message.id)
        this.#waiting.delete(message.id)
        if (message.kind === 'answer') waiting?.resolve(message.value)
        else waiting?.reject(errorOf(message.failure))
        return
      }
      case 'lost':
        for (const listener of this.#lost) listener(message.node)
        return
      case 'away':
        this.#wasAway(message.why)
        return
      case 'report':
        if (this.#closing === undefined) this.#parts.host.report(errorOf(message.failure))
        return
    }
  }

  #wasAway(why: Away): void {
    for (const listener of this.#away) listener()
    const { host, settings, times } = this.#parts
    const reason =
      why === awayFor.blocked
        ? `its event loop was blocked for longer than ${settings.maxBlockedMs} ms (\`maxBlocked\`)`
        : why === awayFor.cutOff
          ? `no NATS server has heard of it for nearly ${times.keyLifeMs} ms, or others found it to be gone`
          : 'another engine has its name'
    host.cutOff(
      new JournalError('TRANSPORT_UNAVAILABLE', `the node ${host.node} counts as gone: ${reason}`, {
        details: { node: host.node, reason: reasons[why] },
      }),
    )
    void this.#comeBack()
  }

  async #comeBack(): Promise<void> {
    const [least, most] = retryMs
    for (
      let waitMs: number = least;
      this.#closing === undefined && this.away;
      waitMs = Math.min(waitMs * 2, most)
    ) {
      try {
        await this.#ask({ op: 'back' })
        return
      } catch (error) {
        if (this.#closing !== undefined) return
        this.#parts.host.report(error)
        await new Promise((resolve) => setTimeout(resolve, waitMs).unref())
      }
    }
  }
}

const reasons = ['there', 'blocked', 'cut-off', 'replaced'] as const

function closed(): JournalError {
  return new JournalError('ENGINE_CLOSED', 'the NATS transport was closed')
}

function errorOf({ code, message, details }: Failure): JournalError {
  return new JournalError(code as ErrorCode, message, { details })
}
