/**
 * For tests of flows, and of what plugs into Troupe: virtual time, seeded chance, crashes, and the suites that every
 * journal, store of blobs, cache, clock, source of chance, payload codec, task runner and part of a transport is held to.
 *
 * @packageDocumentation
 */
export { seededRandom } from '../ports/random.ts'
export { blobsConformance, type OpenedBlobs } from './blobs-conformance.ts'
export { cacheConformance, type OpenedCache } from './cache-conformance.ts'
export { clockConformance, type OpenedClock } from './clock-conformance.ts'
export { clusterNodesConformance, type OpenedClusterNodes } from './cluster-nodes-conformance.ts'
export type { ConformanceCase, Opened } from './conformance.ts'
export {
  taskRunnerContract,
  type ContractEngine,
  type TaskRunnerContractOptions,
} from './contract/task-runner-contract.ts'
export { CrashError } from './crash-error.ts'
export { crashEverywhere, type CrashOptions, type CrashReport } from './crash-everywhere.ts'
export type { CrashedRun, CrashEngineOptions } from './crash-run.ts'
export { crashingJournal, type CrashingJournal, type CrashPoint } from './crashing-journal.ts'
export { effectsLog, type EffectsLog } from './effects-log.ts'
export { journalConformance, type OpenedJournal } from './journal-conformance.ts'
export { payloadCodecConformance, type OpenedPayloadCodec } from './payload-codec-conformance.ts'
export { publishingConformance, type OpenedPublishing } from './publishing-conformance.ts'
export { mailboxConformance, type OpenedMailbox } from './mailbox-conformance.ts'
export { nodesConformance, type OpenedNodes } from './nodes-conformance.ts'
export { queueConformance, type OpenedQueue } from './queue-conformance.ts'
export { randomConformance, type OpenedRandom } from './random-conformance.ts'
export { registerConformance, type OpenedRegister } from './register-conformance.ts'
export { createTestEngine, type TestEngine, type TestEngineOptions } from './test-engine.ts'
export { checkTransitions, legalEdges } from './transitions.ts'
export { virtualClock, type VirtualClock } from './virtual-clock.ts'
