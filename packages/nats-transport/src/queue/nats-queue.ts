import { nanos } from '@nats-io/transport-node'
import { type Delivery, type Offer, type Queue, type QueueName, type Taking } from '@troupe/core'
import type { Connected } from '../connection/connected.ts'
import { codeOf, codes, noRoom, troubleWith } from '../connection/errors.ts'
import type { Link } from '../connection/link.ts'
import { isStreamGone, messageOf, store, type Stored } from '../connection/store.ts'
import {
  ensureConsumer,
  ensureStream,
  type WantedConsumer,
  type WantedStream,
} from '../connection/streams.ts'
import type { Presence } from '../thread/link.ts'
import type { Times } from '../times.ts'
import { textOf, tokenOf } from '../tokens.ts'
import { Acks } from './acks.ts'
import {
  anyPriority,
  kindNames,
  laneOf,
  laneSubjects,
  priorities,
  queueNames,
  subjectOf,
  type QueueNames,
} from './names.ts'
import { LoopWatch } from './stalled.ts'
import { subjectsOf } from './subjects.ts'
import { QueueTaking } from './taking.ts'

/** More than any cluster executes at once; where a queue has so many that are held, it stands still. */
const maxHeld = 1_000_000
/** Pulls that wait at once, of all nodes. */
const maxWaiting = 2_048

/** What a queue needs. */
export interface QueueParts {
  readonly link: Link
  readonly presence: Presence
  readonly times: Times
}

/** Queues over work-queue streams: one stream for those of task runs, one for those of flow runs. */
export class NatsQueue implements Queue {
  readonly #link: Link
  readonly #presence: Presence
  readonly #times: Times
  readonly #streams = new Map<string, Promise<unknown>>()
  /** Those that are made. */
  readonly #made = new Set<string>()
  readonly #takings = new Set<QueueTaking>()
  readonly #loop: LoopWatch
  #acks: Acks | undefined

  constructor({ link, presence, times }: QueueParts) {
    this.#link = link
    this.#presence = presence
    this.#times = times
    const lateMs = times.ackWaitMs / 2
    this.#loop = new LoopWatch(() => link.host.clock.monotonic(), lateMs, lateMs / 4)
    presence.onAway(() => {
      for (const taking of this.#takings) taking.loseAll()
    })
  }

  async offer({ queue, priority, id, body }: Offer): Promise<boolean> {
    this.#link.assertWrites('to offer work')
    const names = this.#names(queue)
    // The caller may change the bytes from now on.
    const payload = body.slice()
    // What is offered goes right behind what was sent before, where nothing has to be waited for.
    const connected = this.#link.made ?? (await this.#link.control())
    if (!this.#made.has(queue.of)) await this.#stream(connected, queue.of)
    const message = {
      stream: names.stream,
      subject: subjectOf(names, priority, id),
      payload,
      id: names.messageId + tokenOf(id),
    }
    const stored = await this.#again(connected, queue.of, () => store(connected, message))
    if (stored.kind === 'full' && !(await isTaken(connected, message, stored))) {
      const refused = { stream: names.stream, said: stored.refusal.description }
      throw noRoom(`can't offer ${id}`, connected.where, refused)
    }
    return stored.kind === 'stored' && !stored.duplicate
  }

  take(queue: QueueName, listener: (delivery: Delivery) => void): Taking {
    this.#link.assertOpen()
    const names = this.#names(queue)
    const { host } = this.#link
    const taking = new QueueTaking(
      {
        names,
        times: this.#times,
        leases: this.#presence.leases,
        inboxPrefix: this.#link.settings.inboxPrefix,
        monotonic: () => host.clock.monotonic(),
        away: () => this.#presence.away,
        isLate: () => this.#loop.isLate(),
        ensure: (connected) => this.#ensure(connected, queue.of, names),
        report: (error) => host.report(error),
        ended: (one) => void this.#takings.delete(one),
      },
      listener,
    )
    this.#takings.add(taking)
    this.#presence.start()
    void this.#begin(taking)
    return taking
  }

  async withdraw(queue: QueueName, id: string): Promise<void> {
    this.#link.assertWrites('to take work back')
    const names = this.#names(queue)
    const connected = await this.#link.control()
    await this.#stream(connected, queue.of)
    const query = { last_by_subj: anyPriority(names, id) }
    const last = await this.#again(connected, queue.of, () => messageOf(connected, names.stream, query))
    if (last === undefined) return
    const priority = priorities[laneOf(names, last.subject).lane] ?? 'normal'
    const what = `can't withdraw from ${names.stream}`
    try {
      const delivered = await connected.patiently(what, () => deliveredOf(connected, names, priority))
      // What was delivered and is still there is somebody's.
      if (last.seq <= delivered) return
      await connected.patiently(what, () =>
        connected.jsm.streams.deleteMessage(names.stream, last.seq, false),
      )
    } catch (error) {
      // Somebody took it and has done it, or withdrew it, in the meantime.
      if (codeOf(error) === codes.messageNotFound || codeOf(error) === 10_043) return
      throw troubleWith(what, connected.where, error)
    }
  }

  async pending(
    queue: QueueName,
    limit: number,
  ): Promise<{ readonly ids: readonly string[]; readonly count: number }> {
    const names = this.#names(queue)
    const connected = await this.#link.control()
    await this.#stream(connected, queue.of)
    const ids: string[] = []
    for (let offset = 0; ;) {
      const { subjects, total } = await this.#again(connected, queue.of, () =>
        subjectsOf(connected, names.stream, `${names.prefix}>`, offset),
      )
      const list = Object.keys(subjects)
      for (const subject of list) {
        if (ids.length >= limit) break
        const id = await this.#idOf(connected, names, subject)
        if (id !== undefined) ids.push(id)
      }
      offset += list.length
      if (ids.length >= limit || list.length === 0 || offset >= total) return { ids, count: total }
    }
  }

  /** Takes nothing more, and gives back what is held. */
  async close(): Promise<void> {
    const takings = [...this.#takings]
    const stopped = takings.map((taking) => taking.stop())
    for (const taking of takings) taking.handBackAll()
    await Promise.all(stopped)
    await this.#acks?.flush()
    this.#acks?.close()
    this.#loop.close()
  }

  async #begin(taking: QueueTaking): Promise<void> {
    for (let tries = 0; ; tries++) {
      if (this.#link.closed) return
      try {
        const connected = await this.#link.control()
        this.#acks ??= new Acks(connected)
        taking.start(connected, this.#acks)
        return
      } catch (error) {
        if (this.#link.closed) return
        this.#link.host.report(error)
        await new Promise((resolve) => setTimeout(resolve, Math.min(100 * 2 ** tries, 5_000)).unref())
      }
    }
  }

  #names(queue: QueueName): QueueNames {
    return queueNames(this.#link.settings.namespace, queue)
  }

  #stream(connected: Connected, of: QueueName['of']): Promise<unknown> {
    let made = this.#streams.get(of)
    if (made === undefined) {
      made = ensureStream(connected, this.#wantedStream(of))
      this.#streams.set(of, made)
      made.then(
        () => this.#made.add(of),
        // The next call tries again.
        () => this.#streams.delete(of),
      )
    }
    return made
  }

  #forget(of: QueueName['of']): void {
    this.#streams.delete(of)
    this.#made.delete(of)
  }

  /** Somebody may have deleted the stream. It held nothing that can't be offered again. */
  async #again<T>(connected: Connected, of: QueueName['of'], ask: () => Promise<T>): Promise<T> {
    try {
      return await ask()
    } catch (error) {
      if (!isStreamGone(error)) throw error
      this.#forget(of)
      await this.#stream(connected, of)
      return ask()
    }
  }

  #wantedStream(of: QueueName['of']): WantedStream {
    const { namespace, replicas = 1, storage } = this.#link.settings
    const { stream, subjects } = kindNames(namespace, of)
    return {
      name: stream,
      subjects: [subjects],
      retention: 'workqueue',
      storage,
      num_replicas: replicas,
      max_msgs_per_subject: 1,
      discard: 'new',
      discard_new_per_subject: true,
      duplicate_window: nanos(this.#times.offerWindowMs),
    }
  }

  /** Makes what a taker needs, also where somebody deleted it. */
  async #ensure(connected: Connected, of: QueueName['of'], names: QueueNames): Promise<void> {
    this.#forget(of)
    await this.#stream(connected, of)
    await Promise.all(
      priorities.map((priority) => {
        const wanted: WantedConsumer = {
          durable_name: names.consumer[priority],
          filter_subject: laneSubjects(names, priority),
          ack_policy: 'explicit',
          ack_wait: nanos(this.#times.ackWaitMs),
          deliver_policy: 'all',
          max_deliver: -1,
          max_ack_pending: maxHeld,
          max_waiting: maxWaiting,
        }
        return ensureConsumer(connected, names.stream, wanted)
      }),
    )
  }

  async #idOf(connected: Connected, names: QueueNames, subject: string): Promise<string | undefined> {
    const id = textOf(laneOf(names, subject).token)
    if (id !== undefined) return id
    const message = await messageOf(connected, names.stream, { last_by_subj: subject })
    if (message === undefined) return undefined
    return textOf(message.header.get('Nats-Msg-Id').slice(names.messageId.length))
  }
}

/** Whether an offer was refused because one of its id is there, and not for want of room: servers have one code for both. */
async function isTaken(
  connected: Connected,
  { stream, subject }: { readonly stream: string; readonly subject: string },
  { refusal: { code, description } }: Extract<Stored, { kind: 'full' }>,
): Promise<boolean> {
  if (code !== codes.notStored) return false
  if (description.includes('per subject')) return true
  return (await messageOf(connected, stream, { last_by_subj: subject })) !== undefined
}

/** The newest message that a lane's consumer has delivered; 0 where nobody has taken from it. */
async function deliveredOf(
  { jsm }: Connected,
  { stream, consumer }: QueueNames,
  priority: (typeof priorities)[number],
): Promise<number> {
  try {
    return (await jsm.consumers.info(stream, consumer[priority])).delivered.stream_seq
  } catch (error) {
    if (codeOf(error) === codes.consumerNotFound) return 0
    throw error
  }
}
