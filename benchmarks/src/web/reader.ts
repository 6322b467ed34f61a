/**
 * Entry of a process that is many browsers: it follows addresses by Server-Sent Events, a connection each. Arguments: a base
 * address, and how many. It says `ready` when each has got the two events of a run that has begun, answers each message with how
 * many events have come since the one before, and ends with its parent.
 */
import { get } from 'node:http'

const [, , base = '', count = '0'] = process.argv
process.once('disconnect', () => process.exit(0))

let events = 0
const mark = Buffer.from('event: transition')

function follow(index: number): Promise<void> {
  return new Promise((resolve, reject) => {
    get(`${base}/${index}`, { agent: false }, (response) => {
      if (response.statusCode !== 200)
        reject(new Error(`watcher ${index} was answered ${response.statusCode}`))
      let own = 0
      response.on('data', (chunk: Buffer) => {
        for (let at = chunk.indexOf(mark); at !== -1; at = chunk.indexOf(mark, at + 1)) {
          events++
          if (++own === 2) resolve()
        }
      })
      response.once('close', () => {
        throw new Error(`watcher ${index} was cut off`)
      })
    }).once('error', reject)
  })
}

for (let index = 0; index < Number(count); index += 50) {
  const some = Array.from({ length: Math.min(50, Number(count) - index) }, (_, i) => follow(index + i))
  await Promise.all(some)
}
events = 0
process.on('message', () => {
  process.send?.(events)
  events = 0
})
process.send?.('ready')
