/** Holds journals, deeds and queues against each other, after all is over. */
import type { Clock, Engine, Journal, JournalSummary, Station, Transition, Transport } from '@troupe/core'
import { isTerminal } from '@troupe/core/internal'
import { checkTransitions } from '@troupe/core/testing'
import type { Deed } from './ledger.ts'
import type { Done } from './plan-tasks.ts'
import type { Streams } from './streams.ts'
import { until } from './until.ts'
import type { Witnessed } from './witness.ts'

export interface Expected {
  /** Flow runs that there must be, besides their subflows, and no others. */
  readonly runs: ReadonlyMap<string, ExpectedRun>
  /** When nodes stood still: what was theirs may have ended elsewhere meanwhile. */
  readonly standstills?: readonly Standstill[]
  /** Whether clocks of nodes were wrong: then it can't be told whether a body began after the end of its run. */
  readonly skewed?: boolean
}

/** A time in which a process stood still, in milliseconds since 1970. */
export interface Standstill {
  readonly node: string
  readonly from: number
  readonly to: number
}

export interface ExpectedRun {
  /** Its terminal state; default Completed. */
  readonly state?: string
  /** Keys of the effects that it must have had; all of them, and each is one of its task runs. */
  readonly keys: readonly string[]
}

interface Sources {
  readonly engine: Engine
  readonly station: Station
  readonly streams: Streams
  readonly deeds: readonly Deed[]
  readonly witnessed: Witnessed
}

/** What was found, for figures. */
export interface Audited {
  readonly flowRuns: number
  readonly taskRuns: number
  /** Bodies that began though nobody had asked for another attempt. */
  readonly again: number
  readonly recoveries: number
}

/** How much later than its end was readable a body may begin: the clocks of processes are read in turns. */
const toleranceMs = 50
/** How long a node that goes on after a standstill may take to learn that it has lost what it had: its own clock tells it at once. */
const learnsMs = 5_000

/** @throws RangeError that lists all that is wrong */
export async function audit(sources: Sources, expected: Expected): Promise<Audited> {
  const wrong: string[] = []
  const { engine, station, streams, witnessed } = sources
  const summaries = await allOf(station.journal)
  const roots = new Map<string, Transition[]>()
  for (const summary of summaries)
    roots.set(summary.flowRunId, await checkJournal(summary, { engine, station, wrong }))
  checkExpected(summaries, expected, wrong)
  await checkWitness(roots, witnessed, wrong)
  const accepted = await valuesOf(engine, summaries, wrong)
  const again = checkDeeds(sources, { expected, roots, accepted, wrong })
  await checkRests({ station, streams, summaries, wrong })
  if (wrong.length > 0)
    throw new RangeError(`${wrong.length} things are wrong:\n${wrong.slice(0, 30).join('\n')}`)
  const transitions = [...roots.values()].flat()
  const retried = transitions.filter(({ kind, to }) => kind === 'task' && to.name === 'Retrying').length
  return {
    flowRuns: summaries.length,
    taskRuns: transitions.filter(({ kind, seq }) => kind === 'task' && seq === 1).length,
    again: again - retried,
    recoveries: transitions.filter(({ to }) => to.name === 'Recovering').length,
  }
}

/** One terminal state, at the end, of each run; numbers and positions without a gap; epochs that rise by one. */
async function checkJournal(
  { flowRunId, position, ended, state }: JournalSummary,
  { engine, station, wrong }: { engine: Engine; station: Station; wrong: string[] },
): Promise<Transition[]> {
  if (!ended) {
    wrong.push(`${flowRunId} has not ended: it is ${state}`)
    return []
  }
  const transitions: Transition[] = []
  for await (const transition of engine.watch({ flowRunId })) transitions.push(transition)
  try {
    checkTransitions(transitions)
  } catch (error) {
    wrong.push(`${flowRunId}: ${(error as Error).message}`)
  }
  const last = new Map(transitions.map(({ runId, to }) => [runId, to.name]))
  for (const [runId, name] of last) if (!isTerminal(name)) wrong.push(`${runId} ends as ${name}`)
  const entries = await station.journal.read(flowRunId, 1, 1_000_000)
  if (entries.length !== position) wrong.push(`${flowRunId}: ${entries.length} entries, and not ${position}`)
  let epoch = 0
  for (const entry of entries) {
    if (entry.kind !== 'claimed') continue
    if (entry.epoch !== epoch + 1) wrong.push(`${flowRunId}: epoch ${entry.epoch} after ${epoch}`)
    epoch = entry.epoch
  }
  return transitions
}

function checkExpected(summaries: readonly JournalSummary[], { runs }: Expected, wrong: string[]): void {
  const roots = summaries.filter(({ parentRunId }) => parentRunId === undefined)
  const found = new Map(roots.map((summary) => [summary.flowRunId, summary]))
  for (const [id, { state = 'Completed' }] of runs) {
    const summary = found.get(id)
    if (summary === undefined) wrong.push(`flow run ${id} is lost`)
    else if (summary.state !== state) wrong.push(`flow run ${id} ended ${summary.state}, and not ${state}`)
  }
  for (const id of found.keys()) if (!runs.has(id)) wrong.push(`nobody started flow run ${id}`)
}

/** Who watched from the beginning saw the very same, in the same order: no gap and no repeat. */
async function checkWitness(
  roots: ReadonlyMap<string, readonly Transition[]>,
  witnessed: Witnessed,
  wrong: string[],
): Promise<void> {
  const count = [...roots.values()].flat().length
  await until('the witness has seen all', () => witnessed.count >= count, 30_000).catch((error: unknown) =>
    wrong.push(`${(error as Error).message}: ${witnessed.count} of ${count}`),
  )
  for (const [flowRunId, transitions] of roots) {
    const seen = witnessed.of(flowRunId).map((transition) => line(transition))
    const stored = transitions.map((transition) => line(transition))
    if (seen.join('\n') === stored.join('\n')) continue
    const at = stored.findIndex((text, n) => seen[n] !== text)
    wrong.push(
      `${flowRunId}: the witness saw ${seen[at] ?? 'nothing'} in place of ${stored[at] ?? 'nothing'}`,
    )
  }
}

const line = ({ runId, seq, position, attempt, to }: Transition): string =>
  `${position} ${runId} ${seq} ${to.name} (attempt ${attempt})`

/** The results of task runs that flow runs gave back, by run. */
async function valuesOf(
  engine: Engine,
  summaries: readonly JournalSummary[],
  wrong: string[],
): Promise<Map<string, Done>> {
  const accepted = new Map<string, Done>()
  for (const { flowRunId, state, kind } of summaries) {
    if (state !== 'Completed' || kind !== 'flow') continue
    const value = await (await engine.get(flowRunId))?.result()
    if (!Array.isArray(value)) {
      wrong.push(`${flowRunId} has no list as its value`)
      continue
    }
    for (const done of value as Done[]) if (done.runId !== '') accepted.set(done.runId, done)
  }
  return accepted
}

interface Held {
  readonly expected: Expected
  readonly roots: ReadonlyMap<string, readonly Transition[]>
  readonly accepted: ReadonlyMap<string, Done>
  readonly wrong: string[]
}

/** @returns How many bodies began more often than once. */
function checkDeeds({ deeds, witnessed }: Sources, { expected, roots, accepted, wrong }: Held): number {
  const did = new Set(deeds.filter(({ what }) => what === 'did').map(({ key }) => key))
  for (const [id, { keys }] of expected.runs)
    for (const key of keys) if (!did.has(key)) wrong.push(`${id}: effect ${key} is missing`)
  const completed = new Map<string, Transition>()
  for (const transition of [...roots.values()].flat())
    if (transition.to.name === 'Completed') completed.set(transition.runId, transition)
  for (const [runId, done] of accepted) {
    const end = completed.get(runId)
    if (end === undefined) wrong.push(`${runId} has a value and has not completed`)
    else if (end.attempt !== done.attempt)
      wrong.push(`${runId} completed as attempt ${end.attempt} with the value of attempt ${done.attempt}`)
    const isThere = deeds.some(
      ({ what, runId: id, attempt, node }) =>
        what === 'did' && id === runId && attempt === done.attempt && node === done.node,
    )
    if (!isThere) wrong.push(`${runId}: nobody did what its value tells of`)
  }
  let again = 0
  const began = new Set<string>()
  for (const deed of deeds) {
    const { what, runId, key, node, at, attempt } = deed
    if (what !== 'began') continue
    if (began.has(runId)) again++
    began.add(runId)
    const seen = witnessed.endOf(runId)
    if (
      expected.skewed === true ||
      seen === undefined ||
      at <= seen + toleranceMs ||
      stoodStill(deed, expected.standstills ?? [])
    )
      continue
    wrong.push(
      `${key} (${runId}) began on ${node} as attempt ${attempt}, ${at - seen} ms after its end was readable`,
    )
  }
  return again
}

/** Whether its node stood still right before, and could not know yet what had happened meanwhile. */
function stoodStill(deed: Deed, standstills: readonly Standstill[]): boolean {
  return standstills.some(
    ({ node, from, to }) => node === deed.node && deed.at >= from && deed.at <= to + learnsMs,
  )
}

/** Nothing is left in queues, mailboxes, or of slots and locks. */
async function checkRests({
  station,
  streams,
  summaries,
  wrong,
}: {
  station: Station
  streams: Streams
  summaries: readonly JournalSummary[]
  wrong: string[]
}): Promise<void> {
  const left = async (): Promise<string[]> => {
    const found = [...(await streams.queued()), ...(await taken(station))]
    for (const { flowRunId } of summaries) {
      const mail = await station.mailbox.pending(flowRunId)
      if (mail.length > 0) found.push(`${mail.length} messages to ${flowRunId}`)
    }
    return found
  }
  // A server that does not answer just now is asked again.
  const nothing = (): Promise<boolean> =>
    left().then(
      ({ length }) => length === 0,
      () => false,
    )
  await until('nothing is left', nothing, 45_000).catch(async () => wrong.push(...(await left())))
}

interface LimitInRegister {
  readonly shares: Readonly<
    Record<
      string,
      { readonly holds: readonly string[]; readonly begins: readonly number[]; readonly waits: number }
    >
  >
  readonly queue: readonly string[]
}

/** Slots, turns and locks that somebody has in the register. */
async function taken({ register }: Station): Promise<string[]> {
  const found: string[] = []
  for (const key of await register.keys('')) {
    const value = await register.get(key)
    if (value === undefined) continue
    const text = new TextDecoder().decode(value.value)
    // The node that cleans up has it for as long as it is there.
    if (key === 'lock.sweep') continue
    if (!key.startsWith('limits.')) {
      found.push(`the register has ${key}: ${text.slice(0, 200)}`)
      continue
    }
    const { shares, queue } = JSON.parse(text) as LimitInRegister
    const isTaken = Object.values(shares).some(
      ({ holds, begins, waits }) => holds.length + begins.length + waits > 0,
    )
    if (isTaken || queue.length > 0) found.push(`somebody has something of ${key}: ${text.slice(0, 400)}`)
  }
  return found
}

async function allOf(journal: Journal): Promise<JournalSummary[]> {
  const all: JournalSummary[] = []
  for (let after = 0; ;) {
    const page = await journal.list({ limit: 500, after })
    all.push(...page)
    const last = page.at(-1)
    if (last === undefined) return all
    after = last.order
  }
}

const clock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  at(deadline, fn) {
    const timer = setTimeout(fn, Math.max(0, deadline - Date.now()))
    return () => clearTimeout(timer)
  },
  turn: (fn) => void setImmediate(fn),
}

/** What a node would have of the transport, for somebody who only looks. */
export function openStation(transport: Transport): Station {
  return transport.open({
    node: `auditor-${Math.random().toString(36).slice(2, 10)}`,
    clock,
    random: { number: () => Math.random(), uint32: () => Math.floor(Math.random() * 2 ** 32) },
    report: () => undefined,
    cutOff: () => undefined,
  })
}
