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

/** The same as `promise`, for so long. @throws RangeError where it takes longer */
export async function within<T>(what: string, promise: PromiseLike<T>, withinMs = 60_000): Promise<T> {
  const over = new AbortController()
  const late = delay(withinMs, undefined, { signal: over.signal }).then(() => {
    throw new RangeError(`waited ${withinMs} ms in vain: ${what}`)
  })
  late.catch(() => undefined)
  try {
    return await Promise.race([promise, late])
  } finally {
    over.abort()
  }
}
