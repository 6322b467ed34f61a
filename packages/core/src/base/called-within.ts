/**
 * Calls `body` once, in what `within` makes of it. Whatever `within` does, the outcome is that of `body`.
 *
 * @param report - Told what `within` throws of its own.
 */
export function calledWithin<T>(
  within: (body: () => T) => unknown,
  body: () => T,
  report: (error: unknown) => void,
): T {
  let outcome: { readonly value: T } | { readonly error: unknown } | undefined
  const once = (): T => {
    if (outcome === undefined) {
      try {
        outcome = { value: body() }
      } catch (error) {
        outcome = { error }
      }
    }
    if ('error' in outcome) throw outcome.error
    return outcome.value
  }
  try {
    within(once)
  } catch (error) {
    const known: { readonly value?: T; readonly error?: unknown } | undefined = outcome
    if (known === undefined || !('error' in known) || known.error !== error) report(error)
  }
  return once()
}
