import type { Call, Report, ThreadData } from './wires.ts'

/** Where the calls of a journal are done. */
export interface Place {
  /** Does calls, in this order. */
  post(calls: readonly Call[]): void
  /** Whether the process must not end meanwhile. At first it may. */
  hold(held: boolean): void
  /** After its journal was closed: settles when nothing of it is left. */
  end(): Promise<void>
}

/** Why a place is gone: its thread has ended, or there is a defect in what it does. */
export interface Death {
  readonly reason: 'thread' | 'defect'
  readonly cause?: unknown
  readonly exitCode?: number
}

/** What a place tells. */
export interface PlaceHost {
  report(report: Report): void
  /** It is gone, and so are the calls that it has not answered. */
  died(facts: Death): void
}

export type StartPlace = (data: ThreadData, host: PlaceHost) => Place
