import { checkScene, checksWhilePlaying } from './checks.ts'
import { planScene } from './plan.ts'
import { Stage, type Core } from './stage.ts'

/** What became of a scene. */
export interface Played {
  /** The order of all transitions of the scene, by names that do not depend on ids. */
  readonly order: string
  /** What must not happen and did, as check and message. */
  readonly violations: readonly { readonly check: string; readonly message: string }[]
  readonly log: string
}

/** Plays the scene of a seed and checks it. Every other one is played once more: that must give the same log. */
export async function simulate(core: Core, seed: number): Promise<Played> {
  const plan = planScene(seed)
  const stage = new Stage(core, plan, checksWhilePlaying)
  await stage.play()
  const log = stage.log.join('\n')
  await checkScene(stage)
  await stage.close()
  if (seed % 2 === 0 && stage.violations.length === 0) {
    const again = new Stage(core, plan, checksWhilePlaying)
    await again.play()
    await again.close()
    if (again.log.join('\n') !== log)
      stage.violated('one seed, one log', `the second time:\n${again.log.join('\n')}`)
  }
  return { order: orderOf(stage), violations: stage.violations, log: stage.log.join('\n') }
}

/** `r0.1 Running` for each transition; a plan that was called again, in a retry of its caller, gives another name. */
function orderOf({ called, live }: Stage): string {
  const names = new Map<string, string>()
  const calls = new Map<string, number>()
  for (const { plan, handle } of called) {
    if (names.has(handle.id)) continue
    const before = calls.get(plan.name) ?? 0
    calls.set(plan.name, before + 1)
    names.set(handle.id, before === 0 ? plan.name : `${plan.name} (${before + 1})`)
  }
  return live.map(({ runId, to }) => `${names.get(runId)} ${to.name}`).join(', ')
}
