import { decodeValue, encodeValue } from '../values/codec.ts'
import type { Ask, BodyEvent, Parcel, Tell } from './protocol.ts'

/** What owners of flow runs and workers say to each other besides offers and reports. */

/** What workers listen to, one on each node. */
export const workerTopic = 'worker'

/** Where somebody on a node listens. */
export interface Address {
  readonly node: string
  readonly topic: string
}

/** The owner of a flow run: of two, the one with the greater epoch is the later one. */
export interface Owner extends Address {
  readonly epoch: number
}

/** A flow run, and the epoch of its owner. */
export type OwnedName = readonly [flowRunId: string, epoch: number]

/** An attempt of a task run. */
export type AttemptName = readonly [runId: string, attempt: number]

/** What the owner tells a body. */
export type RemoteEvent =
  | BodyEvent
  /** What of a call was not known at once. */
  | { readonly submitted: Parcel }
  /** A run that it submitted has come to a state. */
  | { readonly ref: number; readonly state: Parcel }

/** What a body tells its owner, in order. */
export type RemoteTell = Tell | (Ask & { readonly ask: 'call' })

/** Items that owners send to workers. */
export type ToWorker =
  /** Flow runs are that owner's now: what waits in a queue may name an earlier one. */
  | { readonly to: 'owns'; readonly owner: Address; readonly flowRuns: readonly OwnedName[] }
  | { readonly to: 'body'; readonly run: AttemptName; readonly event: RemoteEvent }
  /** The result is not wanted: it is told to stop, and does not begin where one of these offers of that owner comes later. */
  | {
      readonly to: 'stop'
      readonly run: AttemptName
      readonly why: string
      readonly by: Address
      readonly offers: readonly string[]
    }
  /** It was offered again: where it was taken by these offers of that owner, or comes later, it does not begin unasked. */
  | {
      readonly to: 'ask'
      readonly run: AttemptName
      readonly by: Address
      readonly offers: readonly string[]
    }

/** Items that workers send to owners. */
export type ToOwner =
  | { readonly of: 'body'; readonly run: AttemptName; readonly tell: RemoteTell }
  /** The body has ended after it was told to stop. */
  | { readonly of: 'ended'; readonly run: AttemptName }
  /** They have not begun there and won't, or have and were given up. */
  | {
      readonly of: 'returned'
      readonly runs: readonly (readonly [...AttemptName, begun: boolean])[]
      /** Whether the worker does not have their task. */
      readonly isMissing: boolean
    }
  /** A task that the worker does not have; its runs are for others. */
  | { readonly of: 'missing'; readonly node: string; readonly task: string; readonly version: string }

/** What a worker is to do with a body: begin it, forget it, or ask again. */
export type Verdict = 'run' | 'drop' | 'later'

/** What a worker has of an attempt: its body runs, and has said nothing that only its owner knows; or has; or none. */
export type Presence = 'runs' | 'entangled' | 'none'

/**
 * Questions that are no items of a courier, to a worker: an owner says that flow runs are its own now, and asks for attempts.
 * The answer has one presence for each.
 */
interface Owns {
  readonly ask: 'owns'
  readonly owner: Address
  readonly flowRuns: readonly OwnedName[]
  readonly runs: readonly AttemptName[]
}

/** To an owner: may these begin? The answer has one verdict for each. */
interface MayBegin {
  readonly ask: 'may begin'
  readonly node: string
  /** Of the worker: tells it from an earlier one of its name. */
  readonly session: string
  readonly runs: readonly AttemptName[]
}

type Question = Owns | MayBegin

/** First byte of what goes to a topic: an item of a courier, or a question. */
const post = 0
const question = 1

export function packPost(message: Uint8Array): Uint8Array {
  return withHead(post, message)
}

export function packQuestion(asked: Question): Uint8Array {
  return withHead(question, encodeValue(asked))
}

/** What has come to a topic. @throws CodecError `MALFORMED_PAYLOAD` */
export function unpackTalk(
  bytes: Uint8Array,
): { readonly post: Uint8Array } | { readonly question: Question } {
  const rest = bytes.subarray(1)
  return bytes[0] === post ? { post: rest } : { question: decodeValue(rest) as Question }
}

export function packAnswer(answers: readonly (Verdict | Presence)[]): Uint8Array {
  return encodeValue(answers)
}

/** @throws CodecError `MALFORMED_PAYLOAD` */
export function unpackAnswer(bytes: Uint8Array): readonly (Verdict | Presence)[] {
  return decodeValue(bytes) as readonly (Verdict | Presence)[]
}

function withHead(head: number, bytes: Uint8Array): Uint8Array {
  const whole = new Uint8Array(1 + bytes.length)
  whole[0] = head
  whole.set(bytes, 1)
  return whole
}
