/**
 * Flow runs in XState programs: as actors that machines invoke, and in XState's inspector.
 *
 * @packageDocumentation
 */
export {
  fromFlow,
  fromRun,
  type FlowActorEvent,
  type FlowActorLogic,
  type FlowActorOptions,
  type FlowActorRefused,
  type FlowActorSnapshot,
  type FromFlowOptions,
} from './from-flow.ts'
export { inspectRuns } from './inspect-runs.ts'
