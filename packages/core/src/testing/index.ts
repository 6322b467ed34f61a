/**
 * For tests of flows, and of what plugs into Troupe: virtual time, seeded chance, crashes, and the suites that every
 * journal and every task runner is held to.
 *
 * @packageDocumentation
 */
export { seededRandom } from '../ports/random.ts'
export { crashingJournal, type CrashingJournal, type CrashPoint } from './crashing-journal.ts'
export { createTestEngine, type TestEngine, type TestEngineOptions } from './test-engine.ts'
export { virtualClock, type VirtualClock } from './virtual-clock.ts'
