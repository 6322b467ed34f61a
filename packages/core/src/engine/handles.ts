import { Future, Handle } from '../runs/future.ts'
import { Run } from './run.ts'

/** Stands for a run where its future was encoded. */
export class Reference {
  readonly run: Run

  constructor(run: Run) {
    this.run = run
  }
}

/** Stands for a run in arguments that another run was called with, in a copy of its journal. */
export class RunName {
  readonly id: string

  constructor(id: string) {
    this.id = id
  }
}

/** The run behind a future of this copy of the package, where its engine is in this process. */
export function runOfFuture(leaf: unknown): Run | undefined {
  if (leaf instanceof Reference) return leaf.run
  return leaf instanceof Future ? runOfHandle(leaf) : undefined
}

/** The run behind a future or a bare handle: what a body returned. */
export function runOfHandle(leaf: unknown): Run | undefined {
  const target = leaf instanceof Handle ? Handle.targetOf(leaf) : undefined
  return target instanceof Run ? target : undefined
}
