import { expectEqual } from '../lib/measure.ts'

/** Where the servers of a loop are. */
export interface Place {
  readonly urls: readonly string[]
  readonly replicas: number
}

/** What the two sides meet at. */
export interface Server extends Place {
  /** What it counted itself, so far. */
  counted(): Promise<Readonly<Record<string, number>>>
  cpuMs(): number
  stop(): Promise<void>
}

/** The side that asks for task runs. */
interface Owner {
  /** Has `n` task runs done, so many at the same time, and adds what each took to `times`, in milliseconds. */
  readonly work: (n: number, inFlight: number, times: number[]) => Promise<void>
  /** Has `n` task runs done that are submitted at once, where that is another call. @returns How many gave their value */
  readonly fanOut?: (n: number) => Promise<number>
  readonly close: () => Promise<void>
}

/** Starts the owner, in the measuring process, before the worker. */
export type StartOwner = (place: Place) => Promise<Owner>

/** Starts the worker, in a process of its own; it ends with that. */
export type StartWorker = (place: Place) => Promise<void>

/** What a task does, beside getting there and back. */
export const twice = async (i: number): Promise<number> => i * 2

/** Calls `n` times, `inFlight` at the same time: each lane calls again when it has its value. */
export async function inLanes(
  n: number,
  inFlight: number,
  { call, times }: { readonly call: (i: number) => PromiseLike<number>; readonly times: number[] },
): Promise<void> {
  let next = 0
  const lane = async (): Promise<void> => {
    while (next < n) {
      const i = next++
      const calledAt = performance.now()
      expectEqual('as twice the number', await call(i), i * 2)
      times.push(performance.now() - calledAt)
    }
  }
  await Promise.all(Array.from({ length: inFlight }, lane))
}
