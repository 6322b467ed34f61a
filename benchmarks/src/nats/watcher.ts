/**
 * Entry of a process that watches flow runs of another one by their flow's name; its argument is where, as JSON. It says
 * `ready`, answers each message with what has come since the last one, and ends with its parent.
 */
import { createEngine } from '@troupe/core'
import type { Place } from './loop.ts'
import { failOnErrors, timedFlow, transportTo, wallTime, type Seen } from './troupe.ts'

const [, , place = ''] = process.argv
process.once('disconnect', () => process.exit(0))
const engine = createEngine(transportTo(JSON.parse(place) as Place))
failOnErrors(engine)
let seen: Seen[] = []
engine.watch({ flow: timedFlow }).subscribe(({ runId, to }) => seen.push([runId, to.name, wallTime()]))
process.on('message', () => {
  process.send?.(seen)
  seen = []
})
process.send?.('ready')
