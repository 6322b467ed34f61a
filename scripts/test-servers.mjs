// The tests of the NATS transport on all that it is made for: servers of the oldest and of the newest version, one and three of them.
// Arguments are names of those places; by default all four.
import { spawnSync } from 'node:child_process'

const folder = 'packages/nats-transport/test'
/** Those that run on any place. */
const faults = ['owners', 'workers', 'messages', 'servers'].map((name) => `${folder}/faults/${name}.test.ts`)
/** All others bring their servers with them, and do so once. */
const places = {
  newest: [folder],
  oldest: faults,
  'newest-three': faults,
  'oldest-three': faults,
}

const wanted = process.argv.slice(2)
const unknown = wanted.filter((name) => !Object.hasOwn(places, name))
if (unknown.length > 0) {
  console.error(`No such servers: ${unknown.join(', ')}. There are ${Object.keys(places).join(', ')}.`)
  process.exit(2)
}

const failed = []
for (const place of wanted.length > 0 ? wanted : Object.keys(places)) {
  console.log(`\nOn ${place}:`)
  const env = { ...process.env, TROUPE_SERVERS: 'all', TROUPE_PLACE: place }
  const { status } = spawnSync('npx', ['vitest', 'run', ...places[place]], { stdio: 'inherit', env })
  if (status !== 0) failed.push(place)
}
console.log(failed.length === 0 ? '\nAll of them passed.' : `\nFailed on ${failed.join(', ')}.`)
process.exitCode = failed.length === 0 ? 0 : 1
