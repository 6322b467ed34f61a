/** Programs of their own, chosen by their first argument. Their tasks stand elsewhere, so that no thread loads this. */
import { createEngine, flow } from '@troupe/core'
import { WorkerThreadsTaskRunner } from '@troupe/runners'
import { waitsForGate } from './crashes.ts'
import { thread } from './life.ts'
import { goesOn } from './stops.ts'

const [program = '', file = '', gate = ''] = process.argv.slice(2)

const taskRunner = new WorkerThreadsTaskRunner({ threads: 1, keepThreads: 1, idleTimeout: '1h' })
const say = (text: string): void => void process.stdout.write(`${text}\n`)

const idle = flow({ name: 'idle', taskRunner }, () => thread())
const waiting = flow({ name: 'waiting', taskRunner }, () => waitsForGate(file, 'body', gate))
const busy = flow({ name: 'busy', taskRunner }, () =>
  goesOn.with({ grace: 0 })('a wait for shared memory', 9, file),
)

const engine = createEngine()
engine.progress.subscribe(({ message }) => say(message ?? ''))

const programs: Readonly<Record<string, () => Promise<void> | void>> = {
  'leaves idle threads': async () => {
    await engine.run(idle)
    say('done')
  },
  'leaves warm threads': async () => {
    await engine.warm(taskRunner, [thread])
    say('done')
  },
  'does not wait for its run': () => {
    void engine.run(waiting).then((value) => say(`ended: ${value}`))
    say('done')
  },
  'cancels at Ctrl-C': async () => {
    const run = engine.run(busy)
    process.once('SIGINT', () => void run.cancel('Ctrl-C'))
    const { name } = await run.wait()
    say(name)
    await engine.close()
    say('closed')
  },
  'does nothing at Ctrl-C': async () => {
    await engine.run(busy)
  },
  'exits while bodies run': async () => {
    engine.run(busy).ignore()
    engine.progress.subscribe(() => process.exit(7))
    await new Promise(() => undefined)
  },
  'throws while bodies run': () => {
    engine.run(busy).ignore()
    engine.progress.subscribe(() =>
      setImmediate(() => {
        throw new TypeError('of the program')
      }),
    )
  },
  'closes while bodies run': async () => {
    const run = engine.run(busy)
    run.ignore()
    await new Promise<void>((resolve) => engine.progress.subscribe(() => resolve()))
    await engine.close()
    say('closed')
  },
}

await programs[program]?.()
