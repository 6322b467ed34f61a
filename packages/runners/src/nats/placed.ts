import type { Assignment, BodyServer, RemoteHost } from '@troupe/core'

/** An offer that was made. */
export interface Sent {
  readonly id: string
  readonly placed: readonly Placed[]
  /** When it was made, by the monotonic clock; infinite while it is being made. */
  at: number
  /** Whether it was there before: then it names an earlier owner. */
  isForeign: boolean
}

/**
 * An attempt that this pool has.
 *
 * `gathered`: not handed out yet. `offered`: in the queue, or with a worker that has not said that it begins. `granted`: a
 * worker asked, and may begin. `begun`: its body runs, or has run. `over`: nothing more is expected; what still comes of it is
 * told to stop.
 */
export interface Placed {
  readonly assignment: Assignment
  readonly key: string
  state: 'gathered' | 'offered' | 'granted' | 'begun' | 'over'
  readonly server: BodyServer
  /** The offers that it is in, the newest last. */
  readonly sent: Sent[]
  /** The worker that it was given to, or that has begun it. */
  node: string | undefined
  /** Of that worker, where it asked. */
  session: string | undefined
  /** Whether the body has submitted runs, and this engine knows them. */
  hasCalled: boolean
  /** When anything was heard of it last, by the monotonic clock. */
  heardAt: number
  begunAt: number
  /** What the body awaits, by its tickets; undefined where it never has. */
  awaited: Map<number, number> | undefined
  stopReports: () => void
}

export function isUnbegun({ state }: Placed): boolean {
  return state === 'gathered' || state === 'offered'
}

/** Hears what was reported of these, also what nobody was told of. */
export async function readAgain(remote: RemoteHost, placed: readonly Placed[]): Promise<void> {
  const flowRunIds = new Set(placed.map(({ assignment }) => assignment.flowRunId))
  await Promise.all(Array.from(flowRunIds, (flowRunId) => remote.readAgain(flowRunId)))
}

export function keyOf(runId: string, attempt: number): string {
  return `${runId} ${attempt}`
}
