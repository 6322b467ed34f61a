import {
  AckPolicy,
  DeliverPolicy,
  JetStreamApiError,
  type ConsumerConfig,
  type ConsumerInfo,
} from '@nats-io/jetstream'
import { nanos } from '@nats-io/transport-node'
import { JournalError } from '@troupe/core'
import type { Connected } from '../connection/connected.ts'
import { codeOf, codes, isForbidden, troubleWith } from '../connection/errors.ts'
import type { Progress } from './progress.ts'
import type { ConsumerSettings, EventsSettings } from './options.ts'

/** What a tap needs to know of its consumer. */
export interface ConsumerFacts {
  /** How often what is held must be prolonged, in milliseconds. */
  readonly keepAliveMs: number
  /** How often a message is delivered at most; undefined for any number. */
  readonly maxDeliver: number | undefined
  /** The most that one pull may ask for, and for how long, in milliseconds. */
  readonly maxBatch: number
  readonly maxExpiresMs: number
  /** Subjects that it takes; undefined where it takes all of its stream, or that is not known. */
  readonly filters: readonly string[] | undefined
  /** When it was made, and up to which sequence all is acknowledged; undefined where that is not known. */
  readonly since: { readonly createdAt: number; readonly acknowledged: number } | undefined
}

/** Three tries to prolong are made before it is too late. */
const keepAliveShare = 1 / 3
const usualAckWaitMs = 30_000

type Wanted = Pick<EventsSettings<unknown>, 'stream' | 'consumer' | 'create' | 'connection'>

/**
 * Finds the consumer, or makes it where it may be made.
 *
 * @param progress - What was taken from it before it was gone.
 * @throws JournalError `NO_CONSUMER` where it is not there; `TRANSPORT_UNSUPPORTED` where it is none that can be taken from;
 * `TRANSPORT_UNAVAILABLE`
 */
export async function findConsumer(
  connected: Connected,
  wanted: Wanted,
  progress: Progress,
): Promise<ConsumerFacts> {
  const { stream, consumer, create } = wanted
  const what = `can't find the consumer ${consumer} of the stream ${stream}`
  try {
    const info = await connected.patiently(what, async () => {
      const found = await infoOf(connected, stream, consumer)
      if (found !== undefined || create === undefined) return found
      await makeStream(connected, wanted, create)
      const failure = await makeConsumer(connected, wanted, { create, progress })
      const made = await infoOf(connected, stream, consumer)
      if (made === undefined && failure !== undefined) throw failure
      return made
    })
    if (info === undefined) throw notThere(wanted, connected.where)
    return info === 'unknown' ? factsOf({}, undefined) : factsOf(checked(info.config, wanted), info)
  } catch (error) {
    throw codeOf(error) === codes.streamNotFound
      ? notThere(wanted, connected.where, error)
      : troubleWith(what, connected.where, error)
  }
}

async function infoOf(
  { jsm }: Connected,
  stream: string,
  consumer: string,
): Promise<ConsumerInfo | 'unknown' | undefined> {
  try {
    return await jsm.consumers.info(stream, consumer)
  } catch (error) {
    // One who may take from it need not be one who may ask about it.
    if (isForbidden(error)) return 'unknown'
    if (codeOf(error) === codes.consumerNotFound || codeOf(error) === codes.streamNotFound) return undefined
    throw error
  }
}

async function makeStream({ jsm }: Connected, wanted: Wanted, { subjects }: ConsumerSettings): Promise<void> {
  if (subjects === undefined) return
  try {
    await jsm.streams.info(wanted.stream)
    return
  } catch (error) {
    if (isForbidden(error)) return
    if (codeOf(error) !== codes.streamNotFound) throw error
  }
  const { storage, replicas = 1 } = wanted.connection
  try {
    await jsm.streams.add({ name: wanted.stream, subjects: [...subjects], storage, num_replicas: replicas })
  } catch (error) {
    // Another process made it in the meantime.
    if (codeOf(error) !== codes.streamNameInUse) throw error
  }
}

/** @returns Why it could not be made; it is there all the same where another process was first. */
async function makeConsumer(
  { jsm }: Connected,
  wanted: Wanted,
  { create, progress }: { readonly create: ConsumerSettings; readonly progress: Progress },
): Promise<JetStreamApiError | undefined> {
  const beginning = create.deliver === 'all' ? {} : await beginningOf({ jsm }, wanted, progress)
  const config = {
    durable_name: wanted.consumer,
    ack_policy: AckPolicy.Explicit,
    deliver_policy: DeliverPolicy.All,
    ...beginning,
    ack_wait: nanos(create.ackWaitMs),
    max_ack_pending: create.maxAckPending,
    max_deliver: create.maxDeliver,
    ...(create.filter === undefined ? undefined : { filter_subject: create.filter }),
  }
  try {
    await jsm.consumers.add(wanted.stream, config)
    return undefined
  } catch (error) {
    // Another process may have made it, which begins elsewhere.
    if (error instanceof JetStreamApiError && error.status < 500) return error
    throw error
  }
}

/** Where a consumer of new messages begins: after what was taken from the one before, or with the next one that comes. */
async function beginningOf(
  { jsm }: Pick<Connected, 'jsm'>,
  { stream }: Wanted,
  progress: Progress,
): Promise<Partial<ConsumerConfig>> {
  const next = progress.next
  if (next === undefined) return { deliver_policy: DeliverPolicy.New }
  const createdAt = await streamCreatedAt({ jsm }, stream)
  if (createdAt <= next.since) return { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: next.seq }
  // The stream was made anew since: all that is in it has come in between.
  progress.forget()
  return { deliver_policy: DeliverPolicy.All }
}

/** Long ago where this user may not ask. */
async function streamCreatedAt({ jsm }: Pick<Connected, 'jsm'>, stream: string): Promise<number> {
  try {
    return Date.parse((await jsm.streams.info(stream)).created)
  } catch (error) {
    if (isForbidden(error)) return 0
    throw error
  }
}

function checked(config: ConsumerConfig, { stream, consumer }: Wanted): ConsumerConfig {
  const why =
    config.deliver_subject !== undefined
      ? 'the server pushes its messages; use a pull consumer'
      : config.ack_policy === AckPolicy.Explicit
        ? undefined
        : `its \`ack_policy\` is '${config.ack_policy}'; it must be 'explicit'`
  if (why === undefined) return config
  throw new JournalError(
    'TRANSPORT_UNSUPPORTED',
    `the consumer ${consumer} of the stream ${stream} can't be taken from: ${why}`,
    { details: { stream, consumer, needed: 'explicit pull' } },
  )
}

function factsOf(config: Partial<ConsumerConfig>, info: ConsumerInfo | undefined): ConsumerFacts {
  const { ack_wait, backoff = [], max_deliver = -1, max_batch = 0, max_expires = 0 } = config
  const waits = [ack_wait ?? nanos(usualAckWaitMs), ...backoff].filter((wait) => wait > 0)
  const { filter_subject, filter_subjects } = config
  const filters = filter_subjects ?? (filter_subject === undefined ? undefined : [filter_subject])
  return {
    keepAliveMs: Math.max(100, (Math.min(...waits) / 1e6) * keepAliveShare),
    maxDeliver: max_deliver > 0 ? max_deliver : undefined,
    maxBatch: max_batch > 0 ? max_batch : Number.POSITIVE_INFINITY,
    maxExpiresMs: max_expires > 0 ? max_expires / 1e6 : Number.POSITIVE_INFINITY,
    filters,
    since: info && { createdAt: Date.parse(info.created), acknowledged: acknowledgedOf(info) },
  }
}

/** All messages up to this sequence are none of the consumer's any more. */
function acknowledgedOf({ ack_floor, delivered, num_ack_pending }: ConsumerInfo): number {
  // Before the first acknowledgement servers before 2.10 don't say where the consumer began, but for what it would deliver next.
  return num_ack_pending > 0 && ack_floor.stream_seq > 0 ? ack_floor.stream_seq : delivered.stream_seq
}

function notThere({ stream, consumer }: Wanted, where: string, cause?: unknown): JournalError {
  return new JournalError(
    'NO_CONSUMER',
    `there is no consumer ${consumer} of a stream ${stream} at ${where}; make it, or let natsEvents do that: \`create: { subjects }\``,
    { cause, details: { stream, consumer } },
  )
}
