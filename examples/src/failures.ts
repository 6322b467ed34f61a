/** What a failure does: tried again, caught, allowed, passed on to what depends on it, and not looked at. */
import { allowFailure, currentTaskRun, flow, task } from '@troupe/core'

const flaky = task({ name: 'flaky', retries: 2 }, () => {
  const { attempt } = currentTaskRun()
  if (attempt < 3) throw new Error(`attempt ${attempt} failed`)
  return `attempt ${attempt} succeeded`
})

const copy = task('copy', (pages: number): number => {
  throw new RangeError(`no paper for ${pages} pages`)
})

const staple = task('staple', (pages: number) => `${pages} pages stapled`)

const report = task('report', (pages: number | Error) =>
  pages instanceof Error ? `an error came in: ${pages.message}` : `${pages} pages`,
)

export const flows = [
  flow('tried again', () => flaky()),
  flow('not caught', () => copy(3)),
  flow('caught', async () => {
    try {
      return `${await copy(3)} pages`
    } catch (error) {
      return `the body caught: ${(error as Error).message}`
    }
  }),
  flow('allowed', () => report(allowFailure(copy(3)))),
  flow('upstream', () => staple(copy(3))),
  flow('not looked at', () => {
    void copy(3)
    return 'all is well'
  }),
]

for (const started of flows) {
  const run = started()
  // `wait` gives the state, and never rejects for a run that failed.
  const { name, message = String(await run) } = await run.wait()
  // Run ids differ from one start to the next, so they are left out.
  console.log(`${started.name}: ${name}: ${message.replace(/ \(.*\)/, '')}`)
}

// Output:
// tried again: Completed: attempt 3 succeeded
// not caught: Failed: no paper for 3 pages
// caught: Completed: the body caught: no paper for 3 pages
// allowed: Completed: an error came in: no paper for 3 pages
// upstream: Failed: upstream copy-1 did not complete
// not looked at: UnobservedFailure: 1/1 runs failed and nobody looked
