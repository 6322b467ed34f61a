/** Bodies are called within something in threads, as this module says when a thread loads it. */
import { callBodiesWithin, isTaskThread, task } from '@troupe/core'

let traceparent = 'none'

/** What the body sees of where it belongs. */
export const sees = task('sees', () => traceparent)

callBodiesWithin((trace, body) => {
  if (!isTaskThread()) throw new RangeError('this is no thread')
  if (trace.traceparent === 'breaks') throw new RangeError('no context')
  traceparent = `${trace.traceparent} ${trace.tracestate ?? ''}`
  try {
    return body()
  } finally {
    traceparent = 'none'
  }
})
