/**
 * Entry of a process that is a node: it owns flow runs and executes task runs; arguments are where, as JSON, and what the bodies
 * do. It says `ready`, answers each message with the CPU time that it has used, in milliseconds, and ends with its parent.
 */
import { createEngine } from '@troupe/core'
import type { Place } from './loop.ts'
import { loads, queue, spreads, type Load } from './spread.ts'
import { failOnErrors, transportTo } from './troupe.ts'

const [, , place = '', name = ''] = process.argv
const load = name as Load
process.once('disconnect', () => process.exit(0))
const serve = { flows: [spreads[load]], tasks: { [queue]: loads[load].atOnce } }
failOnErrors(createEngine({ ...transportTo(JSON.parse(place) as Place), serve }))
process.on('message', () => {
  const { user, system } = process.cpuUsage()
  process.send?.((user + system) / 1e3)
})
process.send?.('ready')
