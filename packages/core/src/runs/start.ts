import { startOn } from '#start'
import type { Definition } from '../definitions/definition.ts'
import { Future } from './future.ts'
import { ownBody, tagsOfScope } from './run-context.ts'

/** Submits a task run, or starts a flow run, from where the call is made. @throws UsageError for misuse */
export function startRun(definition: Definition, args: readonly unknown[]): Future {
  const tags = tagsOfScope()
  const tagged = tags === undefined ? definition : withMoreTags(definition, tags)
  const body = ownBody()
  if (body === undefined || definition.settings.engine !== undefined)
    return new Future(startOn(tagged, args, body))
  return new Future(body.context.call(tagged, args))
}

function withMoreTags(definition: Definition, tags: readonly string[]): Definition {
  const { settings } = definition
  return { ...definition, settings: { ...settings, tags: [...new Set([...(settings.tags ?? []), ...tags])] } }
}
