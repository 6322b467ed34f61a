import {
  AckPolicy,
  DeliverPolicy,
  type ConsumerConfig,
  type ConsumerInfo,
  type JsMsg,
} from '@nats-io/jetstream'
import { errors, headers as noHeaders, type Msg, type MsgHdrs } from '@nats-io/transport-node'
import type { Connected } from './connected.ts'
import { codeOf, codes, troubleWith } from './errors.ts'
import { messageOf, streamGone } from './store.ts'

/** A message of a stream. */
export interface StreamMessage {
  readonly seq: number
  readonly subject: string
  readonly headers: MsgHdrs
  /** May be a view of more. */
  readonly data: Uint8Array
  /** When it was stored, by the clock of the server: milliseconds since 1970. */
  readonly time: number
}

/** Where to begin, and how many at most. */
export interface Range {
  /** May have wildcards. */
  readonly subject: string
  readonly seq: number
  readonly count: number
}

/** So few are asked for one by one: a consumer costs three requests. */
const fewMessages = 6
/** What one request for many may bring. */
const batchBytes = 8 * 1024 * 1024
/** How long an answer, or the next one, may take. */
const answerMs = 5_000
/** How many messages one pull of a consumer asks for. */
const pullSize = 1_000
const inactiveNs = 60_000 * 1e6

/**
 * Messages of a subject from a sequence on, in order. A replica may answer that has not the newest ones yet: fewer than were asked
 * for do not mean that there are no more.
 *
 * @throws JournalError `TRANSPORT_UNAVAILABLE`, `JOURNAL_UNAVAILABLE`, `ENGINE_CLOSED`
 */
export async function messagesFrom(
  connected: Connected,
  stream: string,
  range: Range,
): Promise<StreamMessage[]> {
  if (range.count <= 1 || (!connected.server.batchReads && range.count <= fewMessages))
    return oneByOne(connected, stream, range)
  const found: StreamMessage[] = []
  if (connected.server.batchReads) {
    const what = `can't read the stream ${stream}`
    await attempt(connected, stream, what, () => {
      const seq = (found.at(-1)?.seq ?? range.seq - 1) + 1
      return batch(connected, stream, { ...range, seq, count: range.count - found.length }, found)
    })
    return found
  }
  const { subject, seq, count } = range
  await scan(connected, stream, { subject, seq, count, tell: (message) => found.push(message) })
  return found
}

/** Each as the leader has it. */
async function oneByOne(connected: Connected, stream: string, range: Range): Promise<StreamMessage[]> {
  const found: StreamMessage[] = []
  for (let seq = range.seq; found.length < range.count;) {
    const message = await messageOf(connected, stream, { seq, next_by_subj: range.subject })
    if (message === undefined) break
    const { header: headers, data, subject, time } = message
    found.push({ seq: message.seq, subject, headers, data, time: time.getTime() })
    seq = message.seq + 1
  }
  return found
}

/** Reads many by one request, from 2.11 on. What came before a failure is in `found`. */
function batch(connected: Connected, stream: string, range: Range, found: StreamMessage[]): Promise<void> {
  const { nc } = connected
  const inbox = connected.inbox()
  return new Promise((resolve, reject) => {
    let timer: NodeJS.Timeout | undefined
    let came = 0
    const end = (error?: unknown): void => {
      clearTimeout(timer)
      if (!nc.isClosed()) subscription.unsubscribe()
      if (error === undefined) resolve()
      else reject(error)
    }
    const wait = (): void => {
      clearTimeout(timer)
      timer = setTimeout(() => end(new errors.TimeoutError()), answerMs)
    }
    const subscription = nc.subscribe(inbox, {
      callback: (error, message) => {
        if (error !== null) return end(error)
        const code = message.headers?.code ?? 0
        // The end of what was asked for, or nothing there.
        if (code === 204 || code === 404) return end()
        if (code === 503) return end(new errors.NoRespondersError(stream))
        if (code !== 0) return end(new errors.RequestError(`${code} ${message.headers?.description ?? ''}`))
        const one = directMessage(message)
        const before = Number(one.headers.get('Nats-Last-Sequence'))
        // After a reconnect the rest of an answer may come whose middle was lost.
        if (before > 0 && before !== came) return end(new errors.TimeoutError())
        came = one.seq
        found.push(one)
        wait()
      },
    })
    wait()
    const { subject, seq, count } = range
    const request = JSON.stringify({ seq, next_by_subj: subject, batch: count, max_bytes: batchBytes })
    nc.publish(`$JS.API.DIRECT.GET.${stream}`, request, { reply: inbox })
  })
}

function directMessage({ headers, data }: Msg): StreamMessage {
  if (headers === undefined) throw new errors.ProtocolError('a message of a stream without headers')
  return {
    seq: Number(headers.get('Nats-Sequence')),
    subject: headers.get('Nats-Subject'),
    headers,
    data,
    time: Date.parse(headers.get('Nats-Time-Stamp')),
  }
}

/** What a consumer of its own is to bring. */
export interface Scan {
  readonly subject: string
  /** Where to begin; undefined for the newest message of each subject. */
  readonly seq: number | undefined
  /** At most so many; default all that are there. */
  readonly count?: number
  /** Without bodies. */
  readonly headersOnly?: boolean
  readonly tell: (message: StreamMessage) => void
}

/**
 * Reads through a consumer that is made for it and removed: all that is there, in order. What is told again after a failure is the
 * same scan from the message that came last, or, for the newest of each subject, from the beginning.
 *
 * @throws JournalError `TRANSPORT_UNAVAILABLE`, `JOURNAL_UNAVAILABLE`, `ENGINE_CLOSED`
 */
export async function scan(connected: Connected, stream: string, wanted: Scan): Promise<void> {
  let { seq } = wanted
  let told = 0
  const tell = (message: StreamMessage): void => {
    told++
    if (seq !== undefined) seq = message.seq + 1
    wanted.tell(message)
  }
  await attempt(connected, stream, `can't read the stream ${stream}`, () => {
    const count = (wanted.count ?? Number.POSITIVE_INFINITY) - (seq === undefined ? 0 : told)
    return consume(connected, stream, { ...wanted, seq, count, tell })
  })
}

async function consume(
  connected: Connected,
  stream: string,
  { subject, seq, count = Number.POSITIVE_INFINITY, headersOnly = false, tell }: Scan,
): Promise<void> {
  const config: Partial<ConsumerConfig> = {
    name: connected.token(),
    filter_subject: subject,
    ack_policy: AckPolicy.None,
    mem_storage: true,
    num_replicas: 1,
    inactive_threshold: inactiveNs,
    ...(headersOnly ? { headers_only: true } : undefined),
    ...(seq === undefined
      ? { deliver_policy: DeliverPolicy.LastPerSubject }
      : { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: Math.max(seq, 1) }),
  }
  const info = await connected.jsm.consumers.add(stream, config)
  try {
    await pullAll(connected, info, { count, tell })
  } catch (error) {
    // It is gone with the server that had it in memory: the scan goes on with another one.
    if (codeOf(error) === codes.consumerNotFound) throw new errors.TimeoutError({ cause: error })
    throw error
  } finally {
    // Where it can't be removed the server forgets it by itself.
    void connected.jsm.consumers.delete(stream, info.name).catch(() => undefined)
  }
}

async function pullAll(
  connected: Connected,
  info: ConsumerInfo,
  { count, tell }: Required<Pick<Scan, 'count' | 'tell'>>,
): Promise<void> {
  const consumer = connected.js.consumers.getConsumerFromInfo(info)
  let delivered = 0
  for (let pending = info.num_pending; pending > 0 && delivered < count;) {
    const asked = Math.min(pullSize, pending, count - delivered)
    const before = delivered
    const messages = await consumer.fetch({ max_messages: asked, expires: answerMs })
    for await (const message of messages) {
      // Nobody sends again what was lost on its way.
      if (message.info.deliverySequence !== ++delivered) throw new errors.TimeoutError()
      pending = message.info.pending
      tell(streamMessage(message))
    }
    if (delivered === before) throw new errors.TimeoutError()
  }
}

function streamMessage({ seq, subject, headers = noHeaders(), data, info }: JsMsg): StreamMessage {
  // One without headers was written by somebody else: what it stands in is damaged, and nothing beside it.
  return { seq, subject, headers, data, time: info.timestampNanos / 1e6 }
}

async function attempt(
  connected: Connected,
  stream: string,
  what: string,
  ask: () => Promise<void>,
): Promise<void> {
  try {
    await connected.patiently(what, ask)
  } catch (error) {
    if (codeOf(error) === codes.streamNotFound) throw streamGone(stream, connected.where, error)
    throw troubleWith(what, connected.where, error)
  }
}
