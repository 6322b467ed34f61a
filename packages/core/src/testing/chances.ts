import type { Happened } from './journal-lines.ts'

/**
 * What chance and time decided in a run: the ids of its runs, and what bodies drew, each by its place in the flow. The place
 * of a run is that of its caller, its name, and how many of that name the caller had submitted.
 */
export function chancesOf(story: readonly Happened[]): Map<string, unknown> {
  const chances = new Map<string, unknown>()
  /** Places of the runs of each journal, by their index. */
  const journals = new Map<string, string[]>()
  const subflows = new Map<string, string>()
  const counts = new Map<string, number>()
  const numbered = (what: string): string => {
    const number = (counts.get(what) ?? 0) + 1
    counts.set(what, number)
    return `${what}#${number}`
  }
  for (const happened of story) {
    if (!('entry' in happened)) continue
    const { flowRunId, entry } = happened
    const places = journals.get(flowRunId) ?? []
    journals.set(flowRunId, places)
    if (entry.kind === 'submitted') {
      const place =
        entry.parent === -1
          ? (subflows.get(flowRunId) ?? entry.name)
          : numbered(`${places[entry.parent]}/${entry.name}`)
      places.push(place)
      chances.set(place, entry.runId)
    } else if (entry.kind === 'child' && entry.event === 'started') {
      subflows.set(entry.flowRunId, numbered(`${places[entry.parent]}/${entry.name}`))
    } else if (entry.kind === 'draw') {
      chances.set(numbered(`${places[entry.run]} ${entry.draw}`), entry.value)
    }
  }
  return chances
}
