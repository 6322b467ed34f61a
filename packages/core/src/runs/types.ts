/**
 * What callers hold of runs, and how argument and result types follow from the types of functions.
 *
 * The shapes are those that TypeScript checks quickly and explains well: every position of an argument takes a value or a
 * future, two levels of containers deep.
 */

import type { Observable } from 'rxjs'
import type { RunLogger } from '../base/logger.ts'
import type { Duration } from '../base/duration.ts'
import type { RunState } from '../machines/states.ts'
import type { Transition } from '../streams/transition.ts'
import type { Ending } from './endings.ts'
import type { Unmapped, Wrapped } from './markers.ts'

declare const value: unique symbol

/**
 * What is held of a run. It has no `then`, so that an async function can return it without waiting for the run.
 *
 * @public
 */
export interface RunHandle<out T> {
  readonly [value]?: T
  readonly kind: 'flow' | 'task'
  /** Known at once, before anything is stored. */
  readonly id: string
  /** Name of the flow or the task. */
  readonly name: string
  /** Name of the run for people, as in its transitions. */
  readonly runName: string
  /** Newest committed state that this process has seen. Reading it is not looking. */
  readonly state: RunState
  /** The run's states: those that were, then those that come; completes at the terminal one. Cold. */
  readonly states: Observable<RunState>
  /**
   * Transitions: those that were, then those that come; completes at the run's terminal state. Cold. Of a flow run, also
   * those of the task runs in its journal.
   */
  readonly transitions: Observable<Transition>
  /**
   * Resolves with the terminal state; with the state at that moment where `timeout` comes first. Never rejects for a run
   * that did not complete. Calling it is looking.
   */
  wait(options?: { readonly timeout?: Duration }): Promise<RunState>
  /** The value of a completed run; rejects with its error otherwise. Calling it is looking. */
  result(): Promise<T>
  /**
   * Cancels the run and all that it submitted; nothing where it has ended. Resolves with the terminal state, which is
   * another one where the run ended first.
   */
  cancel(reason?: string): Promise<RunState>
  /** Says that nobody needs to know how the run ends: its failure does not fail the run that submitted it. */
  ignore(): this
}

/** A handle that can be awaited, and stands for its value as an argument of another call. @public */
export interface RunFuture<out T> extends RunHandle<T> {
  then<A = T, B = never>(
    ok?: ((value: T) => A | PromiseLike<A>) | null,
    no?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B>
  catch<B = never>(no?: ((error: unknown) => B | PromiseLike<B>) | null): Promise<T | B>
  finally(done?: (() => void) | null): Promise<T>
}

/** What calling a task returns. @public */
export interface TaskFuture<out T> extends RunFuture<T> {
  readonly kind: 'task'
  /** The same run without `then`, to return from an async function. */
  readonly handle: TaskHandle<T>
}

/** A task run without `then`. @public */
export interface TaskHandle<out T> extends RunHandle<T> {
  readonly kind: 'task'
}

/** What can be done with a flow run besides what every run allows. @public */
export interface FlowControls {
  /**
   * Starts nothing new and hands nothing to the body until `resume`; task runs that are running go on. Resolves with the
   * state that follows: Paused, or another one where the run can't be paused: it has not begun, waits for a slot or to be
   * tried again, is being cancelled, or has ended.
   */
  pause(): Promise<RunState>
  /**
   * Goes on with a paused run. Resolves with the state that follows; a run that is not paused stays as it is.
   *
   * @param input - What a body that called `waitForInput` gets; its schema decides whether it is right. One that is refused
   * changes nothing: the run still waits. Without it, a run that waits for an input is not resumed.
   * @throws {@link RunError} (rejects) `INVALID_INPUT`: refused, `details.issues` says why, or missing;
   * `NO_INPUT_EXPECTED`: the run waits for none
   */
  resume(input?: unknown): Promise<RunState>
  /**
   * Sends a message to the body, which gets it from `receive(name)`: kept until it is asked for, in the order in which they
   * come. Resolves when it is safe. Sent by the body of a run, it is sent once, however often that body is replayed.
   *
   * @throws {@link RunError} (rejects) `RUN_ENDED` where the run has ended; {@link JournalError} `RUN_NOT_FOUND` where it was
   * deleted; {@link CodecError} `NOT_ENCODABLE`; {@link UsageError} `INVALID_OPTION`
   */
  signal(name: string, payload?: unknown): Promise<void>
}

/** What calling a flow, or `engine.run`, returns. @public */
export interface FlowRun<out T> extends RunFuture<T>, FlowControls {
  readonly kind: 'flow'
  readonly handle: FlowRunHandle<T>
}

/** A flow run without `then`: what is looked up or started through a promise. @public */
export interface FlowRunHandle<out T> extends RunHandle<T>, FlowControls {
  readonly kind: 'flow'
}

/** A run that is looked up: its `kind` tells what can be done with it. @public */
export type AnyRunHandle = FlowRunHandle<unknown> | TaskHandle<unknown>

type Fn = (...args: never) => unknown

/** Types in which futures are not looked for. */
type Leaf =
  | string
  | number
  | bigint
  | boolean
  | symbol
  | null
  | undefined
  | Fn
  | (abstract new (...args: never) => unknown)
  | Date
  | RegExp
  | Error
  | URL
  | Promise<unknown>
  | AbortSignal
  | ArrayBuffer
  | SharedArrayBuffer
  | ArrayBufferView

/** An argument for a parameter of type `T`: the value, a future of it, or containers with futures in them. @public */
export type Arg<T> = T | RunFuture<T> | Wrapped<T> | Holding<T>

/** Arguments for the parameters `A`; names, optional and rest parameters stay. @public */
export type Args<A extends readonly unknown[]> = { [I in keyof A]: Arg<A[I]> }

type Holding<T> = T extends Leaf
  ? never
  : T extends Map<infer K, infer V>
    ? Map<Arg<K>, Arg<V>>
    : T extends Set<infer U>
      ? Set<Arg<U>>
      : T extends ReadonlyMap<infer K, infer V>
        ? ReadonlyMap<Arg<K>, Arg<V>>
        : T extends ReadonlySet<infer U>
          ? ReadonlySet<Arg<U>>
          : T extends readonly unknown[]
            ? HoldingList<T>
            : T extends object
              ? Extract<T[keyof T], Fn> extends never
                ? { [K in keyof T]: Arg<T[K]> }
                : never
              : never

// An array type written out, not mapped: it is expanded only when needed, so that recursive types work.
type HoldingList<T extends readonly unknown[]> = T[number][] extends T
  ? T extends unknown[]
    ? Arg<T[number]>[]
    : readonly Arg<T[number]>[]
  : { [I in keyof T]: Arg<T[I]> }

/** An argument of `map` for a parameter of type `T`. @public */
export type MapArg<T> =
  | Iterable<Arg<T>>
  | Unmapped<T>
  | Unmapped<RunFuture<T>>
  | (T extends string ? Arg<T> : T extends Iterable<unknown> ? never : Arg<T>)

/** Arguments of `map` for the parameters `A`. @public */
export type MapArgs<A extends readonly unknown[]> = { [I in keyof A]: MapArg<A[I]> }

/** The value of a run whose body returns `T`: futures in it stand for their values. @public */
export type Settled<T> = T extends Leaf
  ? T
  : T extends RunHandle<infer V>
    ? V
    : T extends Ending<infer V>
      ? Settled<V>
      : T extends Wrapped<infer V>
        ? V
        : T extends Map<infer K, infer V>
          ? Map<Settled<K>, Settled<V>>
          : T extends Set<infer U>
            ? Set<Settled<U>>
            : T extends readonly unknown[]
              ? SettledList<T>
              : T extends object
                ? Extract<T[keyof T], Fn> extends never
                  ? { [K in keyof T]: Settled<T[K]> }
                  : T
                : T

type SettledList<T extends readonly unknown[]> = T[number][] extends T
  ? T extends unknown[]
    ? Settled<T[number]>[]
    : readonly Settled<T[number]>[]
  : { [I in keyof T]: Settled<T[I]> }

/** What a body can know of its run. @public */
export interface CurrentRun {
  readonly id: string
  /** Name of the flow or the task. */
  readonly name: string
  readonly runName: string
  readonly flowRunId: string
  /** Attempt that is executing, from 1. */
  readonly attempt: number
  /** The arguments. */
  readonly parameters: readonly unknown[]
  readonly tags: readonly string[]
  /** Fires when the body should stop: the run is being cancelled, or goes on without it. */
  readonly signal: AbortSignal
  /** Log lines with the run's ids. */
  readonly logger: RunLogger
  /**
   * Says how far the body is, to `engine.progress`. It is not recorded: for a moment's display, not for deciding.
   *
   * @param fraction - From 0 to 1.
   * @throws UsageError `INVALID_OPTION` for any other number
   */
  readonly progress: (fraction: number, message?: string) => void
}
