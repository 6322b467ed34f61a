import { setTimeout as delay } from 'node:timers/promises'
import { currentFlowRun, currentTaskRun, task, TroupeError } from '@troupe/core'

export const tells = task('progress/tells', async (parts: number): Promise<void> => {
  const { progress } = currentTaskRun()
  progress(0)
  for (let part = 1; part <= parts; part++) {
    progress(part / parts, `part ${part}`)
    if (part % 100 === 0) await Promise.resolve()
  }
})

export const failsOften = task('progress/fails-often', (): void => {
  const { attempt, progress } = currentTaskRun()
  progress(0.5, `attempt ${attempt}`)
  if (attempt < 3) throw new TypeError('again')
})

export const tellsOddly = task('progress/tells-oddly', (): Record<string, string> => {
  const found: Record<string, string> = {}
  for (const fraction of [-0.1, 1.1, Number.NaN, Number.POSITIVE_INFINITY, '0.5', undefined]) {
    try {
      currentTaskRun().progress(fraction as number)
      found[String(fraction)] = 'taken'
    } catch (error) {
      found[String(fraction)] = TroupeError.is(error) ? error.code : String(error)
    }
  }
  return found
})

export const ofTheFlow = task('progress/of-the-flow', (): void => {
  currentFlowRun().progress(0.5, 'of the flow')
})

const left: Promise<void>[] = []

/** Says something after its end; or waits until all that was left behind has been said. */
export const leavesProgress = task('progress/leaves-progress', async (waits: boolean): Promise<string> => {
  const { progress, runName } = currentTaskRun()
  if (waits) await Promise.all(left)
  else left.push(delay(1).then(() => progress(1, 'too late')))
  return runName
})
