/**
 * Entry of the child process that makes one measurement: arguments are its name and its parameters as JSON;
 * the answer goes to the parent as one message: the readings, or what they lack. A thrown error ends the process
 * with its stack on stderr.
 */
import { Absent } from './absent.ts'
import { loadMeasure } from './catalogue.ts'
import type { Params, Readings } from './measure.ts'

// Also where the benchmark is killed.
process.once('disconnect', () => process.exit(1))

const [, , name = '', params = '{}'] = process.argv
const measure = await loadMeasure(name)

async function answer(): Promise<Readings | { readonly absent: string }> {
  try {
    return await measure(JSON.parse(params) as Params)
  } catch (error) {
    if (error instanceof Absent) return { absent: error.message }
    throw error
  }
}

const answered = await answer()
process.send?.(answered, () => process.exit(0))
