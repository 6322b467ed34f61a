import { setTimeout as delay } from 'node:timers/promises'

/**
 * Asks again and again, until there is an answer.
 *
 * @throws RangeError where there is none within `withinMs` milliseconds
 */
export async function until<T>(
  what: string,
  ask: () => T | undefined | false | Promise<T | undefined | false>,
  withinMs = 45_000,
): Promise<T> {
  const deadline = performance.now() + withinMs
  for (;;) {
    const answer = await ask()
    if (answer !== undefined && answer !== false) return answer
    if (performance.now() > deadline) throw new RangeError(`waited ${withinMs} ms in vain: ${what}`)
    await delay(10)
  }
}
