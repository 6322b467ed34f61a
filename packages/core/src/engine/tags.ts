export const noTags: readonly string[] = Object.freeze([])

/** Tags of a run below one that has `above`: each once. */
export function tagsBelow(above: readonly string[], own: readonly string[] = noTags): readonly string[] {
  if (above.length === 0 || own === above) return own
  return own.length === 0 ? above : Object.freeze([...new Set([...above, ...own])])
}
