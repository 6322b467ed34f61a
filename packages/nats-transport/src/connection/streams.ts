import type { ConsumerConfig, StreamConfig, StreamInfo } from '@nats-io/jetstream'
import { errors } from '@nats-io/transport-node'
import { JournalError } from '@troupe/core'
import type { Connected } from './connected.ts'
import { codeOf, codes, isForbidden, troubleWith } from './errors.ts'

/** A stream as it is to be. */
export type WantedStream = Partial<StreamConfig> & Pick<StreamConfig, 'name' | 'subjects'>

/** A durable consumer as it is to be. */
export type WantedConsumer = Partial<ConsumerConfig> & { readonly durable_name: string }

/**
 * Wanted of a stream from which only Troupe is to delete. A limit of bytes is none of these: with it, a stream that is full takes
 * nothing, and loses nothing.
 */
export const unlimited = { max_age: 0, max_msgs: -1, max_msgs_per_subject: -1 } as const

/** What is chosen when a stream is made, and stays as it is afterwards. */
const chosenOnce: readonly string[] = ['num_replicas', 'storage', 'placement']
/** What tells a stream of Troupe from others. */
const essential: readonly string[] = ['subjects', 'retention']

/** How often it is looked for a stream that another node seems to make: for 2 s or so. */
const mostLooks = 8

/**
 * Makes a stream, or changes the one that is there where it really differs: an update of a live stream can cost messages.
 *
 * @returns What the server says of it; undefined where this user may use it without asking about it
 * @throws JournalError `TRANSPORT_UNAVAILABLE`; `TRANSPORT_UNSUPPORTED` where a stream of this name is another one, or has limits that
 *   it is to be without
 */
export async function ensureStream(
  connected: Connected,
  wanted: WantedStream,
): Promise<StreamInfo | undefined> {
  const { jsm, where } = connected
  const what = `can't make the stream ${wanted.name}`
  try {
    return await connected.patiently(what, async () => {
      const found = await infoOf(connected, wanted.name)
      if (found === 'unknown') return undefined
      if (found === undefined) {
        try {
          return await jsm.streams.add({ ...wanted })
        } catch (error) {
          // An owner makes it, which may be about to start: it is asked for again.
          if (isForbidden(error)) throw new errors.TimeoutError({ cause: error })
          const made = await madeByAnother(connected, wanted.name, error)
          if (made !== undefined) refuseLimits(wanted, { ...made.config })
          return made
        }
      }
      const different = differences(wanted, found.config)
      if (different.length === 0) return found
      refuseForeign(wanted, found, different)
      refuseLimits(wanted, { ...found.config })
      return await update(connected, wanted, found)
    })
  } catch (error) {
    throw troubleWith(what, where, error)
  }
}

/**
 * Another node made it in the meantime, or is about to: then the server may refuse the second one for its subjects, which are the
 * first one's already, before it knows a stream of that name.
 *
 * @throws the refusal, where it was for something else
 */
async function madeByAnother(
  connected: Connected,
  name: string,
  refusal: unknown,
): Promise<StreamInfo | undefined> {
  const code = codeOf(refusal)
  if (code !== codes.streamNameInUse && code !== codes.subjectsOverlap) throw refusal
  for (let tries = 0; tries < mostLooks; tries++) {
    const found = await infoOf(connected, name)
    if (found === 'unknown') return undefined
    if (found !== undefined) return found
    await connected.pause(tries)
  }
  throw refusal
}

async function infoOf(connected: Connected, name: string): Promise<StreamInfo | 'unknown' | undefined> {
  try {
    return await connected.jsm.streams.info(name)
  } catch (error) {
    if (codeOf(error) === codes.streamNotFound) return undefined
    if (isForbidden(error)) return 'unknown'
    throw error
  }
}

async function update(connected: Connected, wanted: WantedStream, found: StreamInfo): Promise<StreamInfo> {
  const changes: Record<string, unknown> = { ...wanted }
  for (const key of chosenOnce) delete changes[key]
  try {
    return await connected.jsm.streams.update(wanted.name, changes)
  } catch (error) {
    // Roles that use a stream need not be allowed to change it.
    if (isForbidden(error)) return found
    throw error
  }
}

function refuseForeign(wanted: WantedStream, found: StreamInfo, different: readonly string[]): void {
  const foreign = different.filter((key) => essential.includes(key))
  if (foreign.length === 0) return
  throw new JournalError(
    'TRANSPORT_UNSUPPORTED',
    `the stream ${wanted.name} is not one of Troupe's (${foreign.join(', ')}: ${JSON.stringify(
      Object.fromEntries(foreign.map((key) => [key, (found.config as unknown as Wide)[key]])),
    )}); give another \`namespace\``,
    { details: { stream: wanted.name, reason: 'foreign' } },
  )
}

/**
 * Refuses a stream from which the server deletes what nobody has forgotten: an operator has set that, and is asked to take it away.
 *
 * @throws JournalError `TRANSPORT_UNSUPPORTED`
 */
export function refuseLimits(wanted: Partial<StreamConfig> & { readonly name: string }, found: Wide): void {
  const { name } = wanted
  for (const setting of Object.keys(unlimited)) {
    const value = found[setting]
    if (!(setting in wanted) || !isNothing((wanted as Wide)[setting]) || isNothing(value)) continue
    throw new JournalError(
      'TRANSPORT_UNSUPPORTED',
      `the stream ${name} has ${setting}: ${String(value)}, by which the server deletes what flow runs still need; take it away, as with \`nats stream edit\`, and say by \`keep\` which ended runs are forgotten`,
      { details: { stream: name, reason: 'limits', setting, value } },
    )
  }
}

/**
 * Makes a durable consumer, or changes the one that is there where it really differs.
 *
 * @throws JournalError `TRANSPORT_UNAVAILABLE`
 */
export async function ensureConsumer(
  connected: Connected,
  stream: string,
  wanted: WantedConsumer,
): Promise<void> {
  const { jsm, where } = connected
  const what = `can't make the consumer ${wanted.durable_name} of ${stream}`
  try {
    await connected.patiently(what, async () => {
      try {
        const { config } = await jsm.consumers.info(stream, wanted.durable_name)
        if (differences(wanted, config).length === 0) return
        await jsm.consumers.update(stream, wanted.durable_name, wanted)
      } catch (error) {
        if (isForbidden(error)) return
        if (codeOf(error) !== codes.consumerNotFound) throw error
        await jsm.consumers.add(stream, { ...wanted })
      }
    })
  } catch (error) {
    throw troubleWith(what, where, error)
  }
}

type Wide = Readonly<Record<string, unknown>>

/** Keys that are wanted otherwise than they are. A key that the server leaves out has its default: nothing. */
function differences(wanted: object, found: object): string[] {
  return Object.entries(wanted).flatMap(([key, value]) => {
    if (chosenOnce.includes(key)) return []
    return same(value, (found as Wide)[key]) ? [] : [key]
  })
}

function same(wanted: unknown, found: unknown): boolean {
  if (isNothing(wanted) && isNothing(found)) return true
  if (Array.isArray(wanted) && Array.isArray(found))
    return wanted.length === found.length && wanted.every((one, index) => same(one, found[index]))
  if (typeof wanted === 'object' && wanted !== null && typeof found === 'object' && found !== null)
    return Object.entries(wanted).every(([key, value]) => same(value, (found as Wide)[key]))
  return wanted === found
}

/** The server writes "no limit" as −1 or as 0, or not at all. */
function isNothing(value: unknown): boolean {
  return (
    value === undefined || value === null || value === false || value === '' || value === 0 || value === -1
  )
}

/** What a stream has of some subjects. */
export interface Contents {
  readonly subjects: readonly string[]
  /** Sequence up to which the stream had come: what is stored after the call has a greater one. */
  readonly upTo: number
}

/**
 * Subjects of a stream that match a filter; none where there is no such stream.
 *
 * @throws JournalError `TRANSPORT_UNAVAILABLE`
 */
export async function contentsOf(connected: Connected, stream: string, filter: string): Promise<Contents> {
  const what = `can't look into the stream ${stream}`
  try {
    const { state } = await connected.patiently(what, () =>
      connected.jsm.streams.info(stream, { subjects_filter: filter }),
    )
    return { subjects: Object.keys(state.subjects ?? {}), upTo: state.last_seq }
  } catch (error) {
    if (codeOf(error) === codes.streamNotFound) return { subjects: [], upTo: 0 }
    throw troubleWith(what, connected.where, error)
  }
}

/** The subjects alone. @throws JournalError `TRANSPORT_UNAVAILABLE` */
export async function subjectsOf(
  connected: Connected,
  stream: string,
  filter: string,
): Promise<readonly string[]> {
  return (await contentsOf(connected, stream, filter)).subjects
}
