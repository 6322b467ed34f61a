/**
 * Entry of the child process that makes one measurement: arguments are its name and its parameters as JSON;
 * the answer goes to the parent as one message. A thrown error ends the process with its stack on stderr.
 */
import { loadMeasure } from './catalogue.ts'
import type { Params } from './measure.ts'

const [, , name = '', params = '{}'] = process.argv
const measure = await loadMeasure(name)
const readings = await measure(JSON.parse(params) as Params)
process.send?.(readings, () => process.exit(0))
