/** Saves a file whole or not at all. */
import { rename, rm, writeFile } from 'node:fs/promises'

/** Writes under a temporary name, then renames: whoever looks, or stops us, never meets half a file. */
export async function saveWhole(path: string, text: string, signal: AbortSignal): Promise<void> {
  const temporary = `${path}.${process.pid}.part`
  try {
    await writeFile(temporary, text, { signal })
    signal.throwIfAborted()
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}
