/** For sibling packages of Troupe only; changes without notice. */
export { answerForGone, protocolVersion } from './remote/gone.ts'
export { Lock, Locks, type LockHolder, type LocksHost, type TakeOptions } from './cluster/locks.ts'
export { Peers } from './cluster/peers.ts'
export { Fifo } from './base/fifo.ts'
export { toMilliseconds } from './base/duration.ts'
export { consoleLogger } from './base/logger.ts'
export { ReadyQueue } from './runners/ready-queue.ts'
export { InProcessPool } from './runners/in-process-pool.ts'
export { checkCodecs, seal, unseal } from './journal/envelope.ts'
export { packEntries, unpackEntries } from './journal/records.ts'
export type { PackedEntries, RecordBlob } from './journal/records.ts'
export {
  changeOf,
  isAskedFor,
  rootOf,
  summarise,
  type EntrySummary,
  type SummaryChange,
  type SummaryRoot,
} from './journal/summary.ts'
export { flowRunIdOf } from './base/ids.ts'
export { TransitionReader } from './streams/reader.ts'
export { packPlain } from './values/msgpack.ts'
export { flowRunOfOffer } from './engine/sweep.ts'
export { isTerminal, stateNames, stateTypes } from './machines/states.ts'
export { systemClock } from './ports/system-clock.ts'
export { systemRandom } from './ports/random.ts'
export { Courier } from './remote/courier.ts'
export {
  packAnswer,
  packQuestion,
  unpackAnswer,
  unpackTalk,
  workerTopic,
  type Address,
  type AttemptName,
  type Presence,
  type RemoteEvent,
  type RemoteTell,
  type ToOwner,
  type ToWorker,
  type Verdict,
} from './remote/node-talk.ts'
export { packOffer, unpackOffer, type OfferedBody, type RemoteOffer } from './remote/offers.ts'
export { packReports, reportPrefix, unpackReports, type WorkerReport } from './remote/worker-report.ts'
