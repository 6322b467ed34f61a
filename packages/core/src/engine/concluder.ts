import type { TroupeError } from '../base/errors.ts'
import type { Dependency } from './dependencies.ts'
import type { Run, RunHost } from './run.ts'

/** What ended an attempt in place of its body. */
export type Cut = 'timeOut' | 'crash' | 'hostLost'

/** Decides when a body begins, and what follows when it and all runs that it submitted have ended. */
export interface Concluder<Attempt> {
  /** What the run waited for. */
  readonly upstreams: readonly Dependency[]
  /** Lets the body begin as soon as there is room. */
  launch(attempt: Attempt): void
  /** The body can't begin. */
  refused(attempt: Attempt, error: TroupeError): void
  conclude(attempt: Attempt): void
  /** Cancels what an earlier execution of the body had submitted. @returns Whether there was any. */
  endUncalled(attempt: Attempt): boolean
}

/** Arguments of a body, or what makes them where they are read. */
export type BodyArguments = readonly unknown[] | (() => readonly unknown[])

/** What an attempt is made of. */
export interface AttemptInit<Attempt> {
  readonly host: RunHost
  readonly run: Run
  readonly number: number
  readonly args: BodyArguments
  readonly order: number
  readonly tryFrom: number
  /** Whether the body waits until its Running entry is safe: it may have run before. */
  readonly gated: boolean
  readonly life: Concluder<Attempt>
}
