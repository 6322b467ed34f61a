/** The smallest of some times; undefined where there is none. */
export function earliest(times: readonly (number | undefined)[]): number | undefined {
  let found: number | undefined
  for (const time of times) if (time !== undefined && (found === undefined || time < found)) found = time
  return found
}
