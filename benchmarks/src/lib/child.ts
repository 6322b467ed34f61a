/**
 * Entry of the child processes that make measurements: each message is a name and its parameters, and is answered by one: the
 * readings, or what they lack. A thrown error ends the process with its stack on stderr.
 */
import { Absent } from './absent.ts'
import { enough, type Answered, type Asked } from './asked.ts'
import { loadMeasure } from './catalogue.ts'
import { endOnSignals } from './signals.ts'

async function answer({ measure, params }: Asked): Promise<Answered> {
  try {
    return await (
      await loadMeasure(measure)
    )(params)
  } catch (error) {
    if (error instanceof Absent) return { absent: error.message }
    throw error
  }
}

// Also where the benchmark is killed.
process.once('disconnect', () => process.exit(1))
endOnSignals()

process.on('message', (asked: Asked | typeof enough) => {
  if (asked === enough) process.exit(0)
  // Not awaited: what is thrown ends the process.
  void answer(asked).then((answered) => process.send?.(answered))
})
