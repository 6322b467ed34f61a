import type { StreamInfo } from '@nats-io/jetstream'
import type { Connected } from '../connection/connected.ts'
import { codes, troubleWith } from '../connection/errors.ts'
import { streamGone } from '../connection/store.ts'

/** One page of a stream's subjects: 100,000 at most. */
export interface SubjectsPage {
  /** Subjects, each with how many messages it has. */
  readonly subjects: Readonly<Record<string, number>>
  /** How many subjects match in all. */
  readonly total: number
  /** The newest message of the stream. */
  readonly lastSeq: number
}

/**
 * Subjects of a stream that match a filter, from the `offset`-th on, as its leader has them.
 *
 * @throws JournalError `TRANSPORT_UNAVAILABLE`; `JOURNAL_UNAVAILABLE` where the stream is gone
 */
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
  if (error !== undefined) {
    if (error.err_code === codes.streamNotFound) throw streamGone(stream, connected.where)
    throw troubleWith(`can't list the stream ${stream}`, connected.where, error.description)
  }
  const subjects = state?.subjects ?? {}
  return { subjects, total: total ?? Object.keys(subjects).length, lastSeq: state?.last_seq ?? 0 }
}
