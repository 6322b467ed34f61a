/**
 * A process is killed in the middle of a flow run, and the next one goes on where it was. `node durable.js` shows it with two
 * processes over a folder that it removes; `node durable.js <folder>` is one of them: kill it yourself, and start it again.
 */
import { createEngine, flow, sleep, task } from '@troupe/core'
import { sqliteJournal } from '@troupe/sqlite-journal'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const [, , folder, me = 'this process', killedBy] = process.argv

const cook = task('cook', async (dish: string) => {
  console.log(`${me} cooks the ${dish}`)
  await sleep(killedBy === undefined ? '1s' : '10ms')
  if (dish === killedBy) process.kill(process.pid, 'SIGKILL') // nothing is told, closed or tidied up
  return dish
})

export const dinner = flow('dinner', async (guest: string) => {
  console.log(`${me} begins the body`)
  const courses: string[] = []
  for (const dish of ['soup', 'roast', 'cake']) courses.push(await cook(dish))
  return `${guest} had ${courses.join(', ')}`
})

if (folder === undefined) {
  const temporary = mkdtempSync(join(tmpdir(), 'troupe-durable-'))
  for (const [name, dish] of [
    ['the first process', 'roast'],
    ['the second process', 'nobody'],
    ['the third process', 'nobody'],
  ] as const) {
    const program = [fileURLToPath(import.meta.url), temporary, name, dish]
    const { signal } = spawnSync(process.execPath, program, { stdio: 'inherit' })
    if (signal !== null) console.log(`${name} was ended by ${signal}`)
  }
  rmSync(temporary, { recursive: true })
} else {
  const journal = sqliteJournal(folder)
  const engine = createEngine({ journal, recover: true })
  // By its key this is the same run, whichever process starts it: a new one, one to go on with, or one that has ended.
  console.log(`${me} says: ${await dinner.with({ idempotencyKey: 'tonight' })('Ada')}`)
  await engine.close()
  await journal.close()
}

// Output:
// the first process begins the body
// the first process cooks the soup
// the first process cooks the roast
// the first process was ended by SIGKILL
// the second process begins the body
// the second process cooks the roast
// the second process cooks the cake
// the second process says: Ada had soup, roast, cake
// the third process says: Ada had soup, roast, cake
