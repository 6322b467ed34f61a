/** For sibling packages of Troupe only; changes without notice. */
export { InProcessPool } from './runners/in-process-pool.ts'
