import type { Entry } from '../journal/entries.ts'
import type { Clock } from '../ports/clock.ts'
import type { Random } from '../ports/random.ts'
import type { Assignment, RemoteHost } from '../ports/task-runner.ts'
import type { Station } from '../ports/transport.ts'
import type { Attempt } from './attempt.ts'
import type { Mail } from './mail.ts'
import type { Questions } from './questions.ts'

interface Host {
  readonly node: string
  readonly clock: Clock
  readonly random: Random
  readonly mail: Mail
}

/** What task runners whose bodies run on other nodes get of the engine. */
export function remoteHost(host: Host, station: Station, questions: Questions): RemoteHost {
  const { node, clock, random, mail } = host
  return {
    node,
    clock,
    random,
    queue: station.queue,
    nodes: station.nodes,
    offered: (assignments) => recordOffer(assignments as readonly Attempt[]),
    reports: (assignment, listener) => mail.reports.listen(assignment as Attempt, listener),
    readAgain: (flowRunId) => mail.readAgain(flowRunId),
    ask: (other, topic, question, withinMs) => questions.ask(other, topic, question, withinMs),
    answer: (topic, listener) => questions.answer(topic, listener),
  }
}

/** The id of an offer of several runs; that of one is made of the run's own. */
export function offerId(flowRunId: string, offer: number): string {
  return `${flowRunId}-${offer}`
}

function recordOffer(attempts: readonly (Attempt & Assignment)[]): string {
  const [first] = attempts
  if (first === undefined) return ''
  const { ledger, host } = first.run
  const offer = ++ledger.offers
  const runs = attempts.map(({ run }) => run.index)
  const entry: Entry = { kind: 'offered', at: host.clock.now(), offer, runs }
  ledger.record(entry, undefined)
  const id = offerId(ledger.flowRunId, offer)
  for (const attempt of attempts) attempt.offer = id
  return id
}
