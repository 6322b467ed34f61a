import type { BodyResult } from '../ports/task-runner.ts'
import type { Attempt } from './attempt.ts'

/** A flow's body holds no slot: it begins in a turn of its own. */
export function runFlowBody(attempt: Attempt): void {
  if (!attempt.begin()) return
  const { run, handover } = attempt
  if (run.index === 0) run.ledger.isFed = () => handover.isHanding
  runBody(attempt, (result) => attempt.settle(result))
}

function runBody(attempt: Attempt, settle: (result: BodyResult) => void): void {
  let returned: unknown
  try {
    returned = attempt.invoke()
  } catch (error) {
    settle({ error })
    return
  }
  Promise.resolve(returned).then(
    (value) => settle({ value }),
    (error: unknown) => settle({ error }),
  )
}
