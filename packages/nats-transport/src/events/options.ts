import type { Duration } from '@troupe/core'
import { toMilliseconds } from '@troupe/core/internal'
import { refuse, settingsOf, type NatsTransportOptions, type Settings } from '../options.ts'

/** What is known of a message besides its body. @public */
export interface NatsEventMessage {
  readonly subject: string
  readonly stream: string
  /** Its sequence in the stream. */
  readonly sequence: number
  /** When the stream stored it: wall time of the server in milliseconds since 1970. */
  readonly storedAt: number
  /** How often it was delivered, from 1. */
  readonly deliveries: number
  /** A header; undefined where there is none of this name. */
  header(name: string): string | undefined
}

/** How a consumer is made that is not there. @public */
export interface NatsConsumerOptions {
  /** Subjects of the stream, which is made with them where it is not there. Default none: the stream must be there. */
  readonly subjects?: readonly string[]
  /** Takes only messages of this subject, which may have wildcards; default all of the stream. */
  readonly filter?: string
  /** Which messages it begins with: all that are there (`'all'`, the default), or those that come (`'new'`). */
  readonly deliver?: 'all' | 'new'
  /** After how long a message is delivered again whose taker is gone. From 1 s; default `'30s'`. */
  readonly ackWait?: Duration
  /** How many messages may be with takers at once, those of all processes together; default 1,000. */
  readonly maxAckPending?: number
  /** How often a message is delivered at most; default for ever. */
  readonly maxDeliver?: number
}

/** @public */
export interface NatsEventsOptions<E> extends Pick<
  NatsTransportOptions,
  | 'servers'
  | 'namespace'
  | 'auth'
  | 'tls'
  | 'connection'
  | 'inboxPrefix'
  | 'connectTimeout'
  | 'replicas'
  | 'storage'
> {
  /** Name of the stream. */
  readonly stream: string
  /** Name of the durable pull consumer; several processes may take from one. */
  readonly consumer: string
  /** Makes the consumer where it is not there, now or later; one that is there stays as it is. Default it must be there. */
  readonly create?: boolean | NatsConsumerOptions
  /** Makes the event of a message; default what its JSON says. A message for which it throws is a dead letter. */
  readonly decode?: (data: Uint8Array, message: NatsEventMessage) => E | Promise<E>
}

/** How a consumer is made, checked and with defaults. */
export interface ConsumerSettings {
  readonly subjects: readonly string[] | undefined
  readonly filter: string | undefined
  readonly deliver: 'all' | 'new'
  readonly ackWaitMs: number
  readonly maxAckPending: number
  readonly maxDeliver: number
}

/** Options, checked and with their defaults. */
export interface EventsSettings<E> {
  readonly connection: Settings
  readonly stream: string
  readonly consumer: string
  readonly create: ConsumerSettings | undefined
  readonly decode: ((data: Uint8Array, message: NatsEventMessage) => E | Promise<E>) | undefined
}

const optionNames = [
  'servers',
  'namespace',
  'auth',
  'tls',
  'connection',
  'inboxPrefix',
  'connectTimeout',
  'replicas',
  'storage',
  'stream',
  'consumer',
  'create',
  'decode',
] as const satisfies readonly (keyof NatsEventsOptions<unknown>)[]

const consumerOptionNames = [
  'subjects',
  'filter',
  'deliver',
  'ackWait',
  'maxAckPending',
  'maxDeliver',
] as const satisfies readonly (keyof NatsConsumerOptions)[]

/** What the server takes as the name of a stream or a consumer. */
const name = /^[^\s.*>/\\]{1,255}$/
const subject = /^[^\s.]+(\.[^\s.]+)*$/

/** @throws UsageError `INVALID_OPTION`, `INVALID_DURATION` */
export function eventsSettingsOf<E>(options: NatsEventsOptions<E>): EventsSettings<E> {
  if (typeof options !== 'object' || options === null) refuse('options', 'an object', options)
  checkNames('natsEvents', options, optionNames)
  const { stream, consumer, create = false, decode, ...connection } = options
  if (typeof stream !== 'string' || !name.test(stream)) refuse('stream', 'the name of a stream', stream)
  if (typeof consumer !== 'string' || !name.test(consumer))
    refuse('consumer', 'the name of a durable consumer', consumer)
  if (decode !== undefined && typeof decode !== 'function')
    refuse('decode', 'a function of the bytes and the message', decode)
  return { connection: settingsOf(connection), stream, consumer, create: creationOf(create), decode }
}

function creationOf(create: boolean | NatsConsumerOptions): ConsumerSettings | undefined {
  if (create === false) return undefined
  const given = create === true ? {} : create
  if (typeof given !== 'object' || given === null) refuse('create', 'true, false or an object', given)
  checkNames('create', given, consumerOptionNames)
  const { subjects, filter, deliver = 'all', ackWait = 30_000, maxAckPending = 1_000, maxDeliver } = given
  const areSubjects =
    subjects === undefined || (Array.isArray(subjects) && subjects.length > 0 && subjects.every(isSubject))
  if (!areSubjects) refuse('create.subjects', 'a list of subjects', subjects)
  if (filter !== undefined && !isSubject(filter)) refuse('create.filter', 'a subject', filter)
  if (deliver !== 'all' && deliver !== 'new') refuse('create.deliver', "'all' or 'new'", deliver)
  if (!Number.isInteger(maxAckPending) || maxAckPending < 1)
    refuse('create.maxAckPending', 'an integer of at least 1', maxAckPending)
  if (maxDeliver !== undefined && (!Number.isInteger(maxDeliver) || maxDeliver < 1))
    refuse('create.maxDeliver', 'an integer of at least 1', maxDeliver)
  const ackWaitMs = toMilliseconds(ackWait, 'create.ackWait')
  if (ackWaitMs < 1_000) refuse('create.ackWait', 'a duration of at least 1 s', ackWait)
  return { subjects, filter, deliver, ackWaitMs, maxAckPending, maxDeliver: maxDeliver ?? -1 }
}

export function isSubject(value: unknown): value is string {
  return typeof value === 'string' && subject.test(value)
}

function checkNames(what: string, given: object, known: readonly string[]): void {
  for (const option of Object.keys(given))
    if (!known.includes(option)) refuse(option, `one of ${known.join(', ')}`, option, `no option of ${what}`)
}
