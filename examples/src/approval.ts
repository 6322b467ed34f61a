/**
 * An expense waits for a person: its run is paused until an input is given that the schema takes. A comment is a signal.
 */
import {
  createEngine,
  flow,
  receive,
  task,
  TroupeError,
  waitForInput,
  type FlowRunHandle,
} from '@troupe/core'
import { filter, firstValueFrom } from 'rxjs'
import { z } from 'zod'

const Decision = z.object({ approved: z.boolean(), by: z.string().min(1) })

const record = task('record', (line: string) => console.log(`  ${line}`))

export const expense = flow('expense', async (what: string, euros: number) => {
  await record(`${what} for ${euros} euros was submitted`)
  if (euros < 100) return 'paid'
  const { approved, by } = await waitForInput(Decision, { timeout: '14d' })
  // What was sent before is kept until it is asked for.
  const comment = await receive<string>('comment', { timeout: '1s' }).catch(() => 'no comment')
  await record(`${by} said ${approved ? 'yes' : 'no'}: ${comment}`)
  return approved ? 'paid' : 'refused'
})

const engine = createEngine()
console.log('a taxi:', await expense('a taxi', 40))

const submitted = expense.with({ id: 'expense-7' })('a projector', 900)
await firstValueFrom(submitted.states.pipe(filter(({ name }) => name === 'Paused')))

// Elsewhere in the program, a person looks what there is to do.
const waiting = await engine.list({ flow: 'expense', state: 'Paused' })
for (const { id, state } of waiting) console.log(`${id} ${state.message}`)
const run = (await engine.get('expense-7')) as FlowRunHandle<string>

await run.signal('comment', 'the old one flickers')
for (const input of [{ approved: 'maybe' }, { approved: true, by: 'Ada' }]) {
  try {
    console.log('given, and the run is', (await run.resume(input)).name)
  } catch (error) {
    if (TroupeError.is(error, 'INVALID_INPUT')) console.log(`${error.code}, and the run is`, run.state.name)
  }
}
console.log('a projector:', await run.result())
await engine.close()

// Output:
//   a taxi for 40 euros was submitted
// a taxi: paid
//   a projector for 900 euros was submitted
// expense-7 waits for an input
// INVALID_INPUT, and the run is Paused
// given, and the run is Running
//   Ada said yes: the old one flickers
// a projector: paid
