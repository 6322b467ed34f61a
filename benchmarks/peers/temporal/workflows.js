/** Temporal bundles this file and runs it in its sandbox: the flows of src/cases/temporal.ts. */
import { executeChild, proxyActivities, proxyLocalActivities } from '@temporalio/workflow'

const steps = {
  normal: proxyActivities({ startToCloseTimeout: '10 minutes' }).step,
  local: proxyLocalActivities({ startToCloseTimeout: '10 minutes' }).step,
}

export async function sequence(n, kind) {
  let sum = 0
  for (let i = 0; i < n; i++) sum += (await steps[kind](i)) === i ? 1 : 0
  return sum
}

export async function fanOut(n, kind) {
  const values = await Promise.all(Array.from({ length: n }, (_, i) => steps[kind](i)))
  return values.filter((value, i) => value === i).length
}

export async function empty() {
  return 1
}

export async function single(_n, kind) {
  return steps[kind](1)
}

export async function parent(n) {
  const values = await Promise.all(Array.from({ length: n }, () => executeChild('empty')))
  return values.length
}
