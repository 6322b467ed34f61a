import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Makes an empty folder, which is removed when the process ends, also with an error. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'troupe-benchmark-'))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  return folder
}
