/**
 * Entry of the process that runs the tasks; arguments are where, as JSON, and what is measured. It says `ready`, answers
 * each message with the CPU time that it has used, in milliseconds, and ends with its parent.
 */
import { kinds, type Kind } from './kinds.ts'
import type { Place } from './loop.ts'
// Its tasks are executed by the worker of `troupe`, too.
import './shapes.ts'

const [, , place = '', kind = ''] = process.argv
process.once('disconnect', () => process.exit(0))
await kinds[kind as Kind].worker(JSON.parse(place) as Place)
process.on('message', () => {
  const { user, system } = process.cpuUsage()
  process.send?.((user + system) / 1e3)
})
process.send?.('ready')
