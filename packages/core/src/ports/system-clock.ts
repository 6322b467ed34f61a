import type { Clock } from './clock.ts'
import { Deadlines } from './deadlines.ts'

/**
 * The longest wait that Node's timers take: 2^31 − 1 ms, about 24.8 days; a longer one fires at once. Longer
 * waits are split.
 *
 * @see https://nodejs.org/api/timers.html#settimeoutcallback-delay-args
 */
const longestTimeout = 2 ** 31 - 1

/** By how much two readings of the distance between wall time and monotonic time may differ though nothing happened. */
const roundingMs = 2

/**
 * The clock of this machine: one heap of deadlines and one Node timer, armed only while something waits.
 *
 * A pending deadline keeps the process alive, as the run that waits for it should; a turn does, too.
 *
 * @param keepsAlive - False where nobody's run waits for its deadlines.
 */
export function systemClock({ keepsAlive = true }: { readonly keepsAlive?: boolean } = {}): Clock {
  const monotonic = (): number => performance.now()
  const deadlines = new Deadlines()
  let timer: NodeJS.Timeout | undefined
  let offset = Date.now() - monotonic()
  let armedFor = Number.POSITIVE_INFINITY

  const arm = (): void => {
    const next = deadlines.next()
    if (next === armedFor && timer !== undefined) return
    if (timer !== undefined) clearTimeout(timer)
    timer = undefined
    armedFor = next
    if (next === Number.POSITIVE_INFINITY) return
    // Node rounds down and may fire up to a millisecond early; `fire` looks again and re-arms.
    const wait = Math.min(Math.max(Math.ceil(next - monotonic()), 1), longestTimeout)
    timer = setTimeout(fire, wait)
    if (!keepsAlive) timer.unref()
  }
  const fire = (): void => {
    timer = undefined
    armedFor = Number.POSITIVE_INFINITY
    try {
      deadlines.fire(monotonic())
    } finally {
      arm()
    }
  }

  return {
    now: () => Date.now(),
    monotonic,
    at(deadline, fn) {
      // Overdue ones keep their order: the earlier deadline fires first.
      const current = Date.now() - monotonic()
      // Wall time comes in whole milliseconds: what two equal deadlines are measured by must not differ by that.
      if (Math.abs(current - offset) > roundingMs) offset = current
      const takeBack = deadlines.add(deadline - offset, fn)
      arm()
      return () => {
        takeBack()
        arm()
      }
    },
    turn: (fn) => void setImmediate(fn),
  }
}
