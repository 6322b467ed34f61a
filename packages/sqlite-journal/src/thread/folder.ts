import { link, mkdir, readdir, rm, stat } from 'node:fs/promises'
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import type { Connection, Driver } from './driver.ts'
import { Refusal } from './failures.ts'
import { applicationId, formatNumber, schema } from './schema.ts'

/** The database, in the folder; SQLite keeps `journal.db-wal` and `journal.db-shm` beside it. */
export const fileName = 'journal.db'
/** A database that is being made; it gets its name when it is whole. */
const unfinished = /^journal\.new-[0-9a-f-]+\.db(-wal|-shm|-journal)?$/
/** What systems and people leave in folders that they mean to be empty. */
const ignored = /^(\.|lost\+found$)/

/**
 * Makes sure that the folder holds a journal, and makes an empty one where there is nothing.
 *
 * The file itself is never opened here: closing it would let go of the locks that this process holds on it.
 */
export async function prepareFolder(driver: Driver, folder: string, readOnly: boolean): Promise<string> {
  const path = join(folder, fileName)
  const found = await lookAt(folder)
  if (found === undefined || !found.includes(fileName)) {
    if (found?.includes(`${fileName}-wal`) === true) {
      throw new Refusal(
        'JOURNAL_DAMAGED',
        `the journal in ${folder} lacks its ${fileName}; its ${fileName}-wal is there`,
        { folder, reason: 'missing' },
      )
    }
    const others = (found ?? []).filter((name) => !unfinished.test(name) && !ignored.test(name))
    if (others.length > 0) {
      throw new Refusal(
        'NOT_A_JOURNAL',
        `${folder} is no journal: it has other files, ${others.slice(0, 3).join(', ')}; give a folder of its own`,
        { folder, reason: 'other files' },
      )
    }
    if (readOnly) {
      throw new Refusal(
        'JOURNAL_UNAVAILABLE',
        `there is no journal in ${folder}, and \`readOnly\` makes none`,
        {
          folder,
          reason: 'missing',
        },
      )
    }
    await create(driver, folder, path)
  }
  const { size } = await stat(path)
  if (size < 512) {
    throw new Refusal(
      'JOURNAL_DAMAGED',
      `the journal in ${folder} is damaged: ${fileName} has ${size} bytes`,
      {
        folder,
        reason: 'truncated',
      },
    )
  }
  return path
}

/** Names of files in the folder; undefined where there is none. */
async function lookAt(folder: string): Promise<string[] | undefined> {
  try {
    return await readdir(folder)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return undefined
    if (code === 'ENOTDIR')
      throw new Refusal('NOT_A_JOURNAL', `${folder} is no journal: it is a file, not a folder`, {
        folder,
        reason: 'file',
      })
    throw error
  }
}

/** Whole or not at all, also where several processes come at once, or one is killed half way. */
async function create(driver: Driver, folder: string, path: string): Promise<void> {
  await mkdir(folder, { recursive: true })
  const fresh = join(folder, `journal.new-${randomUUID()}.db`)
  try {
    const connection = driver.open(fresh, { readOnly: false })
    try {
      connection.exec(
        `pragma page_size = 4096; pragma auto_vacuum = incremental; pragma application_id = ${applicationId};
        pragma user_version = ${formatNumber}; begin; ${schema}
        insert into meta(key, value) values ('id', '${randomUUID()}'); commit;`,
      )
      connection.exec('pragma journal_mode = wal')
    } finally {
      connection.close()
    }
    await link(fresh, path)
  } catch (error) {
    // Another process was first.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    await rm(fresh, { force: true })
  }
}

/** Whether an open database is a journal that this version can read. */
export function checkFormat(connection: Connection, folder: string): void {
  const { application_id: id } = connection.prepare('pragma application_id').get() as {
    application_id: number
  }
  const { user_version: version } = connection.prepare('pragma user_version').get() as {
    user_version: number
  }
  if (id !== applicationId) {
    throw new Refusal(
      'NOT_A_JOURNAL',
      `${folder} is no journal: its ${fileName} is a database of another program`,
      { folder, reason: 'foreign' },
    )
  }
  if (version !== formatNumber) {
    throw new Refusal(
      'UNSUPPORTED_FORMAT',
      `the journal in ${folder} has format ${version}, and this version of @troupe/sqlite-journal reads format ${formatNumber}; a newer version reads it`,
      { folder, format: version, supported: formatNumber },
    )
  }
}
