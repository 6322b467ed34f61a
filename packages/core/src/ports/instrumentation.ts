import type { StateName, StateType } from '../machines/states.ts'

/**
 * Where something belongs, as text that any process understands: W3C Trace Context.
 *
 * @see https://www.w3.org/TR/trace-context/
 * @public
 */
export interface TraceCarrier {
  readonly traceparent: string
  readonly tracestate?: string | undefined
}

/** A run, as instrumentation sees it. Some of it is computed when it is asked for. @public */
export interface InstrumentedRun {
  readonly kind: 'flow' | 'task'
  /** Of the flow or the task. */
  readonly name: string
  readonly version: string
  readonly id: string
  /** The same as `id` where the run has a journal of its own: of flow runs, and of task runs outside any flow. */
  readonly flowRunId: string
  /** For people. */
  readonly runName: string
  readonly tags: readonly string[]
  /** Name of the engine that has the run. */
  readonly node: string
  /** Wall time in milliseconds since 1970; with fractions, so that what is part of it does not begin before it. */
  readonly submittedAt: number
  /** The attempt whose body submitted it; undefined outside any run. */
  readonly parent: { readonly runId: string; readonly attempt: number } | undefined
  /** Where the flow run belongs: what `submitted` gave, in whichever process, or the attempt that started the subflow. */
  readonly trace: TraceCarrier | undefined
  /** What `submitted` gave besides, in this process. */
  readonly own: unknown
}

/** One start of a body. @public */
export interface InstrumentedAttempt {
  readonly run: InstrumentedRun
  /** From 1. */
  readonly number: number
  /** Wall time in milliseconds since 1970. */
  readonly startedAt: number
  /** Where the body runs, if not on the event loop of its engine: a thread, another node. */
  readonly host: string | undefined
  /** Name of the task runner; undefined for bodies of flows. */
  readonly runner: string | undefined
  /** Number of the attempt that began before it; undefined for the first. */
  readonly previous: number | undefined
  /** The runs whose ends it waited for. */
  readonly upstreams: readonly InstrumentedRun[]
  /** Whether another engine had begun it, and was lost. */
  readonly isInherited: boolean
}

/** How an attempt ended, or a run. @public */
export interface InstrumentedEnd {
  /** Wall time in milliseconds since 1970. */
  readonly at: number
  /** The state that its run went to. */
  readonly state: StateName
  readonly type: StateType
  readonly message: string | undefined
  /** What it failed with; undefined where it did not, or where that is not known. */
  readonly error: unknown
}

/** What becomes of an attempt. Where the engine loses the run, nothing more is said of it. @public */
export interface AttemptScope {
  /** Calls the body; in this process only. */
  within<T>(body: () => T): T
  /** It has ended, and the journal has that. */
  ended(end: InstrumentedEnd): void
}

/** Something that happened in an engine. What it says of runs is in their journals. @public */
export type InstrumentationEvent =
  /** A run was submitted. */
  | { readonly kind: 'started'; readonly run: InstrumentedRun }
  /** A run is over. */
  | {
      readonly kind: 'ended'
      readonly run: InstrumentedRun
      readonly end: InstrumentedEnd
      /** Attempts in all; 0 where no body began. */
      readonly attempts: number
    }
  /** A run waits no longer for slots of limits. */
  | { readonly kind: 'slots'; readonly run: InstrumentedRun; readonly waitedMs: number }
  /** A journal answered an append: it has the entries, or has another owner. */
  | {
      readonly kind: 'append'
      readonly entries: number
      readonly ms: number
      readonly isStored: boolean
    }
  /** A journal did not answer an append, which is repeated. */
  | { readonly kind: 'append failed'; readonly error: unknown }
  /** Something went wrong that no caller hears of: what `engine.errors` gives. */
  | { readonly kind: 'error'; readonly error: unknown }

/** How an engine is, by numbers. @public */
export interface EngineGauges {
  /** Flow runs, and task runs outside any flow, that are live here. */
  readonly liveRuns: number
  /** Bodies that go on although their run has ended. */
  readonly leftovers: number
  /** Journals whose newest append has not been answered. */
  readonly stalled: number
  /** How many attempts wait for room in each task runner. */
  readonly waiting: readonly { readonly runner: string; readonly count: number }[]
}

/** An engine that is open. @public */
export interface InstrumentedEngine {
  readonly node: string
  gauges(): EngineGauges
}

/** A flow run that is being sent to another node. @public */
export interface SentScope {
  /** Goes into its journal. */
  readonly trace: TraceCarrier | undefined
  /**
   * Its journal is there, or can't be.
   *
   * @param error - Why it can't; else undefined.
   * @param isNew - Whether the run was submitted by this, and not before by somebody with the same key.
   */
  ended(error: unknown, isNew: boolean): void
}

/**
 * Is told what an engine does, for traces and metrics: `createEngine({ instrumentation })`. What a method throws goes to
 * `engine.errors`, and changes nothing. Methods are called in the middle of the engine's work: they must be fast.
 *
 * @public
 */
export interface Instrumentation {
  /** An engine opens. @returns Called when it is closed */
  opened?(engine: InstrumentedEngine): () => void
  /**
   * A flow run, or a task run outside any flow, is submitted, and no run does it: called in the call, so that what is active there
   * is known. Also for one that goes on here whose journal does not say where it belongs.
   */
  submitted?(run: InstrumentedRun): { readonly trace?: TraceCarrier | undefined; readonly own?: unknown }
  /** The same for a flow run that is sent to whichever node serves it. */
  sent?(flow: { readonly id: string; readonly name: string; readonly node: string }): SentScope
  /** Where what is done in an attempt belongs: goes to the thread or the node that executes it, and into journals of subflows. */
  traceOf?(run: InstrumentedRun, attempt: number): TraceCarrier | undefined
  /** A body begins. */
  began?(attempt: InstrumentedAttempt): AttemptScope | undefined
  /** Calls a body that is executed here for an engine elsewhere. */
  within?<T>(trace: TraceCarrier, body: () => T): T
  /** Calls what belongs to no body: hooks and observers are called in it. */
  outside?<T>(fn: () => T): T
  told?(event: InstrumentationEvent): void
}
