import type { Entry } from '../journal/entries.ts'
import { foldJournal, type Act, type History } from '../journal/history.ts'
import type { Journal } from '../ports/journal.ts'

/** Entries per read. */
const page = 5_000

/** A whole journal, in order. */
export async function readJournal(journal: Journal, flowRunId: string): Promise<readonly Entry[]> {
  const entries: Entry[] = []
  for (;;) {
    const read = await journal.read(flowRunId, entries.length + 1, page)
    for (const entry of read) entries.push(entry)
    if (read.length < page) return entries
  }
}

/** What a journal says, with what the journals of its subflows say; undefined where there is none. */
export async function readHistory(journal: Journal, flowRunId: string): Promise<History | undefined> {
  const entries = await readJournal(journal, flowRunId)
  if (entries.length === 0) return undefined
  const history = foldJournal(flowRunId, entries)
  for (const run of history.runs) for (const act of run.acts) await readChild(journal, act)
  return history
}

async function readChild(journal: Journal, act: Act): Promise<void> {
  if (act.kind !== 'called flow') return
  act.child.history = await readHistory(journal, act.child.started.flowRunId)
}
