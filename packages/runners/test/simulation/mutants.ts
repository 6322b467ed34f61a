import type { Mutant } from '../../../core/test/races/mutants.ts'

/** Faults that the simulation of clusters must find; see mutant-plugin.ts for how they are planted. */
export const mutants: readonly Mutant[] = [
  {
    name: 'report-of-a-zombie',
    fault: 'what the worker of an attempt that was lost reports counts for the attempt after it',
    file: 'runners/src/nats/nats-pool.ts',
    find: `    const { node, result, refused, asked } = report
    const isOther = placed.node !== undefined && placed.node !== node`,
    replace: `    const next = this.placed.get(keyOf(report.runId, report.attempt + 1))
    if (next?.state === 'begun') placed = next
    const { node, result, refused, asked } = report
    const isOther = placed !== next && placed.node !== undefined && placed.node !== node`,
    foundBy: 'only the newest attempt counts',
  },
  {
    name: 'offer-lost',
    fault: 'an offer that a server forgot is not made again',
    file: 'runners/src/nats/sweep.ts',
    find: `      await this.#offerMissing()
`,
    replace: `      if (this.#host.placed.size < 0) await this.#offerMissing()
`,
    foundBy: 'comes to its end',
  },
  {
    name: 'two-owners',
    fault: 'an owner that was cut off goes on writing beside the next one',
    file: 'core/src/ports/memory-journal.ts',
    find: `    if (position !== expected || (stored !== undefined && epoch < stored.epoch))
      return { refused: true, position }`,
    replace: `    if (expected === 0 && position > 0) return { refused: true, position }`,
    foundBy: 'one owner at a time',
  },
  {
    name: 'same-epoch',
    fault: 'whoever takes a flow run over does not begin a new epoch',
    file: 'core/src/engine/ledger.ts',
    find: `  claim(): void {
    this.epoch++`,
    replace: `  claim(): void {
    this.epoch = Math.max(this.epoch, 1)`,
    foundBy: 'one owner at a time',
  },
  {
    name: 'attempt-skipped',
    fault: 'a body that is lost goes on as the attempt after the next',
    file: 'core/src/machines/run-machine.ts',
    find: `    { target: 'Running', actions: 'nextAttempt' },`,
    replace: `    { target: 'Running', actions: ['nextAttempt', 'nextAttempt'] },`,
    foundBy: 'no attempt is skipped',
  },
  {
    name: 'never-asks',
    fault: 'a worker begins what was delivered before without asking',
    file: 'core/src/worker/worker.ts',
    find: `      offer.strict ||
      isOutdated ||
      held.delivery.repeated ||
      this.#doubtful.has(part) ||
      this.#executed.has(name)`,
    replace: `      false`,
    foundBy: 'nothing that has ended runs again',
  },
  {
    name: 'lost-node-unheard',
    fault: 'flow runs of a node that is lost are not offered to others',
    file: 'core/src/engine/serve-flows.ts',
    find: `          await offerRun(this.#queue, summary)`,
    replace: `          if (summary.node === '') await offerRun(this.#queue, summary)`,
    foundBy: 'comes to its end',
  },
  {
    name: 'slots-of-others',
    fault: 'slots that others have are there to be had',
    file: 'core/src/cluster/limit-document.ts',
    find: `Number.POSITIVE_INFINITY : concurrency - heldOf(document)`,
    replace: `Number.POSITIVE_INFINITY : concurrency`,
    foundBy: 'limits hold',
  },
  {
    name: 'lease-kept',
    fault: 'a worker keeps its message in the queue when all of it is reported',
    file: 'core/src/worker/held.ts',
    find: `    else this.delivery.done()
  }`,
    replace: `  }`,
    foundBy: 'nothing is left behind',
  },
]
