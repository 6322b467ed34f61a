import type { createEngine } from '@troupe/core'
import { expectEqual } from '../lib/measure.ts'

/** What a task run goes through that succeeds at once. */
const states = ['Pending', 'Running', 'Completed'] as const

/** Throws unless each of these states was reached so often, and none else. */
export function expectTransitions(names: Iterable<string>, n: number): void {
  const counts = new Map<string, number>(states.map((name) => [name, 0] as const))
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1)
  for (const [name, count] of counts) {
    expectEqual(`transitions to ${name}`, count, states.some((one) => one === name) ? n : 0)
  }
}

/** Throws unless the history of a flow run that has ended has every transition of so many runs of a task. */
export async function expectHistory(
  engine: ReturnType<typeof createEngine>,
  flowRunId: string,
  taskRuns: { readonly task: string; readonly n: number },
): Promise<void> {
  const names: string[] = []
  for await (const { task, to } of engine.watch({ flowRunId })) {
    if (task === taskRuns.task) names.push(to.name)
  }
  expectTransitions(names, taskRuns.n)
}
