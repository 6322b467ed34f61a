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
    const made = within(once)
    // Of one that is the body's own promise whoever called the body hears.
    if (made instanceof Promise && made !== valueOf(outcome))
      made.catch((error: unknown) => reportForeign(error, outcome, report))
  } catch (error) {
    reportForeign(error, outcome, report)
  }
  return once()
}

type Outcome = { readonly value: unknown } | { readonly error: unknown } | undefined

function valueOf(outcome: Outcome): unknown {
  return outcome !== undefined && 'value' in outcome ? outcome.value : undefined
}

/** What the body itself failed with is no error of what it was called within. */
function reportForeign(error: unknown, outcome: Outcome, report: (error: unknown) => void): void {
  if (outcome !== undefined && 'error' in outcome && outcome.error === error) return
  const value = valueOf(outcome)
  if (!(value instanceof Promise)) report(error)
  else
    value.then(
      () => report(error),
      (own: unknown) => {
        if (own !== error) report(error)
      },
    )
}
