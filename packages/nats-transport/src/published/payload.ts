import type { Transition } from '@troupe/core'
import { packPlain } from '@troupe/core/internal'
import type { PublishSettings } from '../options.ts'

/** Longer texts are cut: what was thrown may say anything. */
const longest = 8_192
const loneSurrogates = /\p{Surrogate}/gu

const encoder = new TextEncoder()

/**
 * A transition as other programs read it: as `schema/transition.v1.schema.json` says. Within version 1 fields may be added, and none
 * changes or goes.
 */
export function publishedPayload(transition: Transition, format: PublishSettings['format']): Uint8Array {
  const payload = payloadOf(transition)
  return format === 'json' ? encoder.encode(JSON.stringify(payload)) : packPlain(payload)
}

function payloadOf({ from, to, ...transition }: Transition) {
  const { flowRunId, runId, kind, flow, task, runName, parentRunId } = transition
  const { seq, position, attempt, at, startedAt, node, host } = transition
  return {
    v: 1,
    flowRunId,
    runId,
    kind,
    flow: clean(flow),
    ...(task === undefined ? undefined : { task: clean(task) }),
    runName: clean(runName),
    from: from === null ? null : { type: from.type, name: from.name },
    to: {
      type: to.type,
      name: to.name,
      ...(to.message === undefined ? undefined : { message: clean(to.message) }),
    },
    seq,
    position,
    attempt,
    at,
    startedAt,
    node,
    ...(host === undefined ? undefined : { host: clean(host) }),
    ...(parentRunId === undefined ? undefined : { parentRunId }),
  }
}

/** Readers in other languages refuse halves of characters, and servers refuse what is too long. */
function clean(text: string): string {
  const cut = text.length <= longest ? text : `${text.slice(0, longest - 1)}…`
  return cut.replace(loneSurrogates, '\u{fffd}')
}
