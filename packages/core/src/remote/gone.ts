import { UsageError } from '../base/errors.ts'
import type { Answer } from './protocol.ts'
import { wrapError } from './wire.ts'

export { protocolVersion } from './protocol.ts'

/** For a body whose run has ended or gone on elsewhere. */
export function answerForGone(): Answer {
  const message = "the run has ended or gone on elsewhere; its body can't go on"
  return { error: wrapError(new UsageError('RUN_ENDED', message)) }
}
