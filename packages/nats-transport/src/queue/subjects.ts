import type { StreamInfo } from '@nats-io/jetstream'
import type { Connected } from '../connection/connected.ts'

/** One page of a stream's subjects: 100,000 at most. */
export interface SubjectsPage {
  /** Subjects, each with how many messages it has. */
  readonly subjects: Readonly<Record<string, number>>
  /** How many subjects match in all. */
  readonly total: number
  /** The newest message of the stream. */
  readonly lastSeq: number
}

/** Subjects of a stream that match a filter, from the `offset`-th on, as its leader has them. */
export async function subjectsOf(
  connected: Connected,
  stream: string,
  filter: string,
  offset = 0,
): Promise<SubjectsPage> {
  const { nc } = connected
  const request = JSON.stringify({ subjects_filter: filter, offset })
  const answer = await connected.patiently(`can't list the stream ${stream}`, async () => {
    const message = await nc.request(`$JS.API.STREAM.INFO.${stream}`, request, { timeout: 5_000 })
    return message.json<Partial<StreamInfo> & { error?: { err_code: number; description: string } }>()
  })
  const { state, total, error } = answer
  if (error !== undefined) return connected.jsm.streams.info(stream).then(() => none)
  const subjects = state?.subjects ?? {}
  return { subjects, total: total ?? Object.keys(subjects).length, lastSeq: state?.last_seq ?? 0 }
}

const none: SubjectsPage = { subjects: {}, total: 0, lastSeq: 0 }
