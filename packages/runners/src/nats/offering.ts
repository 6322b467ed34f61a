import {
  TroupeError,
  type Assignment,
  type PoolHost,
  type QueuePriority,
  type RemoteHost,
} from '@troupe/core'
import { packOffer, type Address, type OfferedBody } from '@troupe/core/internal'
import type { Durations } from './durations.ts'
import type { Settings } from './options.ts'
import type { Placed, Sent } from './placed.ts'
import type { Workers } from './workers.ts'

/** Of tasks that may take this long, or do on average, each is offered alone: in milliseconds. */
const longLimitMs = 5_000
const longMeanMs = 20
/** How many assignments each worker has before more go with one message. */
const perWorker = 4
/** Arguments beyond this size, in bytes, go with the next message. */
const mostBytes = 128 * 1_024

const firstPauseMs = 20
const longestPauseMs = 5_000

interface OfferingHost {
  readonly pool: PoolHost
  readonly remote: RemoteHost
  readonly settings: Settings
  readonly workers: Workers
  readonly durations: Durations
  /** Where this node listens for its workers. */
  readonly address: Address
  /** How many have not begun. */
  readonly backlog: number
  readonly isClosed: boolean
  /** It can't be handed out. */
  refused(placed: Placed, error: TroupeError): void
  /** An offer of that id was there before. */
  foreign(sent: Sent): void
}

/** Hands assignments out to the queue: those of one turn together, as many with one message as suits the workers. */
export class Offering {
  readonly #host: OfferingHost
  /** What was offered, and withdrawn: its id is used up. */
  readonly #withdrawn = new WeakSet<Assignment>()
  /** By flow run. */
  readonly #gathered = new Map<string, Placed[]>()

  constructor(host: OfferingHost) {
    this.#host = host
  }

  /** It was offered, and has not begun. */
  withdrawn(assignment: Assignment): void {
    this.#withdrawn.add(assignment)
  }

  add(placed: Placed): void {
    const { flowRunId } = placed.assignment
    const known = this.#gathered.get(flowRunId)
    if (known !== undefined) {
      known.push(placed)
      return
    }
    this.#gathered.set(flowRunId, [placed])
    // What comes until its submission is written goes along.
    placed.assignment.whenWriting(() => this.#flush(flowRunId))
  }

  #flush(flowRunId: string): void {
    const { workers, backlog, settings, isClosed } = this.#host
    const gathered = this.#gathered.get(flowRunId)?.filter(({ state }) => state === 'gathered') ?? []
    this.#gathered.delete(flowRunId)
    if (isClosed || gathered.length === 0) return
    workers.lookSoon()
    const live = Math.max(1, workers.nodes.length)
    const most = Math.min(settings.batch, workers.leastConcurrency)
    const k = Math.max(1, Math.min(Math.ceil(backlog / (perWorker * live)), most))
    const fresh = gathered.filter((placed) => !this.#isAgain(placed))
    for (const group of groups(fresh, (placed) => this.#groupOf(placed, k)).values()) this.#hand(group, k)
  }

  #isAgain(placed: Placed): boolean {
    if (!this.#withdrawn.has(placed.assignment)) return false
    placed.assignment.whenSafe(() => {
      if (placed.state !== 'gathered') return
      placed.state = 'offered'
      this.again(placed)
    })
    return true
  }

  /** Those of one flow run and of one group may go together. */
  #groupOf({ assignment, key }: Placed, k: number): string {
    const { offer, attempt, timeoutMs = 0, gated, task } = assignment
    const priority = priorityOf(assignment)
    if (offer !== undefined) return `offer ${offer} ${priority}`
    const isLong = timeoutMs > longLimitMs || this.#host.durations.of(task.name) > longMeanMs
    // Only first attempts are recorded together.
    const isAlone = k === 1 || isLong || attempt > 1 || gated
    return isAlone ? `alone ${key}` : priority
  }

  #hand(group: readonly Placed[], k: number): void {
    const [first] = group
    if (first === undefined) return
    const { offer } = first.assignment
    if (offer !== undefined) {
      // As the owner before did: its message may still be there.
      this.#whenSafe(group, offer, false)
      return
    }
    for (const chunk of chunks(group, k)) this.#handChunk(chunk)
  }

  #handChunk(chunk: readonly Placed[]): void {
    const [first] = chunk
    if (first === undefined) return
    const { runId, attempt, gated } = first.assignment
    if (chunk.length > 1) {
      this.#whenSafe(chunk, this.#host.remote.offered(chunk.map(({ assignment }) => assignment)), false)
      return
    }
    const id = `${runId}.${attempt}`
    if (attempt > 1 || gated) this.#whenSafe(chunk, id, gated)
    // As in this process, a first start does not wait for the journal; its submission goes to it by the same write, before.
    else queueMicrotask(() => first.assignment.whenHeard(() => this.#offerGathered(chunk, id, false)))
  }

  /** What the next owner is to repeat as it was must not be taken before the journal has it. */
  #whenSafe(placed: readonly Placed[], id: string, strict: boolean): void {
    const last = placed.at(-1)
    last?.assignment.whenSafe(() => this.#offerGathered(placed, id, strict))
  }

  #offerGathered(placed: readonly Placed[], id: string, strict: boolean): void {
    const wanted = placed.filter(({ state }) => state === 'gathered')
    for (const one of wanted) one.state = 'offered'
    this.#offer(wanted, id, { strict, isAgain: false })
  }

  /** Offers once more what may have been taken by somebody who is gone, or was lost on its way. */
  again(placed: Placed): void {
    const { runId, attempt } = placed.assignment
    const { random } = this.#host.remote
    const id = `${runId}.${attempt}.${random.uint32().toString(36)}`
    this.#offer([placed], id, { strict: true, isAgain: true })
  }

  #offer(
    placed: readonly Placed[],
    id: string,
    { strict, isAgain }: { strict: boolean; isAgain: boolean },
  ): void {
    const [first] = placed
    if (first === undefined || this.#host.isClosed) return
    const sent: Sent = { id, placed, at: Infinity, isForeign: false }
    for (const one of placed) one.sent.push(sent)
    void this.#send(sent, first.assignment, { strict, isAgain })
  }

  async #send(
    sent: Sent,
    first: Pick<Assignment, 'flowRunId' | 'epoch' | 'priority' | 'parentLease'>,
    { strict, isAgain }: { strict: boolean; isAgain: boolean },
  ): Promise<void> {
    const { remote, settings, address } = this.#host
    const { clock } = remote
    let isRepeated = isAgain
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
      const wanted = sent.placed.filter(({ state }) => state === 'offered')
      if (this.#host.isClosed || wanted.length === 0) return
      try {
        const isNew = await remote.queue.offer({
          queue: { of: 'task', name: settings.queue },
          priority: priorityOf(first),
          id: sent.id,
          body: packOffer({
            flowRunId: first.flowRunId,
            owner: { ...address, epoch: first.epoch },
            strict,
            flow: wanted[0]?.server.flow(),
            bodies: wanted.map(bodyOf),
          }),
        })
        sent.at = clock.monotonic()
        if (!isNew && !isRepeated) this.#host.foreign(sent)
        return
      } catch (error) {
        // What had no room is not there: one that is, is an earlier owner's.
        isRepeated ||= !isNoRoom(error)
        if (TroupeError.is(error, 'PAYLOAD_TOO_LARGE')) {
          this.#tooLarge(wanted, error)
          return
        }
        this.#host.pool.report(error)
      }
      await new Promise<void>((resolve) => void clock.at(clock.now() + pauseMs, resolve))
    }
  }

  /** Each goes by itself; one that is too large then can't run. */
  #tooLarge(placed: readonly Placed[], error: TroupeError): void {
    const [first] = placed
    if (first === undefined) return
    if (placed.length === 1) this.#host.refused(first, error)
    else for (const one of placed) this.again(one)
  }
}

function isNoRoom(error: unknown): boolean {
  return TroupeError.is(error) && error.details['reason'] === 'full'
}

function bodyOf({ assignment, server }: Placed): OfferedBody {
  const { task, timeoutMs } = assignment
  const { name, version } = task.origin
  return { task: { name, version }, start: server.start(), facts: server.facts(), timeoutMs }
}

/** What a body submitted goes first, as it does where slots are shared: others wait for it. */
function priorityOf({ priority, parentLease }: Pick<Assignment, 'priority' | 'parentLease'>): QueuePriority {
  if (priority > 0 || (priority === 0 && parentLease !== undefined)) return 'high'
  return priority < 0 ? 'low' : 'normal'
}

function groups<T>(items: readonly T[], keyOfItem: (item: T) => string): Map<string, T[]> {
  const found = new Map<string, T[]>()
  for (const item of items) {
    const key = keyOfItem(item)
    const group = found.get(key)
    if (group === undefined) found.set(key, [item])
    else group.push(item)
  }
  return found
}

function* chunks(group: readonly Placed[], most: number): Generator<readonly Placed[]> {
  let chunk: Placed[] = []
  let bytes = 0
  for (const placed of group) {
    const { size } = placed.server
    if (chunk.length > 0 && (chunk.length >= most || bytes + size > mostBytes)) {
      yield chunk
      chunk = []
      bytes = 0
    }
    chunk.push(placed)
    bytes += size
  }
  if (chunk.length > 0) yield chunk
}
