import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { currentFlowRun, flow, sleep, task, type FlowRun, type TaskFuture } from '@troupe/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { all, code, errorOf, outcomeOf, quiet, testEngine } from './support.ts'

const echo = task('echo', (value: unknown) => value)
const one = task('one', async () => {
  await sleep(10)
  return 1
})

/** What calls in the body of a flow throw. The flow run itself must not be hurt by it. */
async function thrownInFlow(act: () => unknown): Promise<unknown> {
  await using engine = testEngine()
  let thrown: unknown
  const run = flow('misuse', () => {
    try {
      act()
    } catch (error) {
      thrown = error
    }
  })()
  expect(await outcomeOf(engine, run)).toMatchObject({ state: 'Completed' })
  expect((await all(run.transitions)).filter(({ kind }) => kind === 'task')).toEqual([])
  return thrown
}

describe('a native promise as an argument', () => {
  it('is refused, with its place, and no run is created', async () => {
    const promise = Promise.resolve(1)
    expect(await thrownInFlow(() => echo(promise))).toEqual(code('NATIVE_PROMISE', /args\[0\].*await it/))
    expect(await thrownInFlow(() => echo({ a: [promise] }))).toEqual(
      code('NATIVE_PROMISE', /args\[0\]\.a\[0\]/),
    )
    expect(await thrownInFlow(() => echo(new Map([['k', promise]])))).toEqual(
      code('NATIVE_PROMISE', /get\(k\)/),
    )
    expect(await thrownInFlow(() => echo.with({ waitFor: promise })(1))).toEqual(
      code('NATIVE_PROMISE', /waitFor/),
    )
  })
})

describe('a value that can not be encoded', () => {
  it('is refused where values are encoded, with its place', async () => {
    expect(await thrownInFlow(() => echo({ a: () => 1 }))).toEqual(code('NOT_ENCODABLE', /args\[0\]\.a/))
    expect(await thrownInFlow(() => echo(Symbol('s')))).toEqual(code('NOT_ENCODABLE'))
    expect(await thrownInFlow(() => echo({ then: () => undefined }))).toEqual(code('NOT_ENCODABLE'))
  })

  it('fails the run that returned it', async () => {
    await using engine = testEngine()
    expect(await outcomeOf(engine, flow('symbols', () => ({ a: Symbol('s') }))())).toMatchObject({
      state: 'Failed',
      error: code('NOT_ENCODABLE', /result\.a/),
    })
  })
})

describe('a future of another engine', () => {
  it('is refused', async () => {
    await using a = testEngine()
    await using b = testEngine()
    const foreign = a.run(flow('foreign', () => 1))
    const run = b.run(
      flow('local', () => {
        expect(() => echo(foreign)).toThrow(code('FOREIGN_ENGINE', new RegExp(foreign.id)))
        expect(() => echo.with({ waitFor: [foreign] })(1)).toThrow(code('FOREIGN_ENGINE'))
      }),
    )
    expect(await outcomeOf(b, run)).toMatchObject({ state: 'Completed' })
    expect(await a.settle(foreign)).toBe(1)
  })
})

describe('a run that would wait for itself', () => {
  it('is refused where it depends on its own flow run or an ancestor of it', async () => {
    await using engine = testEngine()
    const parent = flow('parent', async (): Promise<string> => {
      expect(() => echo(self)).toThrow(code('DEADLOCK', /echo depends on parent/))
      const child = flow('child', () => {
        expect(() => echo.with({ waitFor: self })(1)).toThrow(code('DEADLOCK', /ancestor/))
        return 'child'
      })
      return child()
    })
    const self: FlowRun<string> = parent()
    expect(await engine.settle(self)).toBe('child')
  })

  it('is refused where its body awaits its own run, whatever way', async () => {
    await using engine = testEngine()
    const parent = flow('self', async (): Promise<unknown[]> => {
      return [
        await errorOf(self),
        await errorOf(self.wait()),
        await errorOf(new Promise((resolve) => resolve(self.result()))),
        await errorOf(Promise.all([self, self])),
      ].map((error) => (error as { code: string }).code)
    })
    const self: FlowRun<unknown[]> = parent()
    expect(await engine.settle(self)).toEqual(['DEADLOCK', 'DEADLOCK', 'DEADLOCK', 'DEADLOCK'])
  })

  it('is refused where the body of a task awaits an ancestor', async () => {
    await using engine = testEngine()
    const waiting = task('waiting', async () => errorOf(self))
    const self: FlowRun<unknown> = flow('ancestor', () => waiting())()
    expect(await engine.settle(self)).toEqual(code('DEADLOCK', /part of/))
  })

  it('fails a body that lets the error through', async () => {
    await using engine = testEngine()
    const self: FlowRun<unknown> = flow('lets-through', async () => self)()
    expect(await outcomeOf(engine, self)).toMatchObject({ state: 'Failed', error: code('DEADLOCK') })
  })
})

describe('a closed engine', () => {
  it('takes no more calls', async () => {
    const engine = testEngine()
    const two = flow('two', () => 2)
    await engine.close()
    expect(() => engine.run(two)).toThrow(code('ENGINE_CLOSED'))
    expect(await errorOf(engine.get('x'))).toEqual(code('ENGINE_CLOSED'))
    expect(await errorOf(engine.list())).toEqual(code('ENGINE_CLOSED'))
    expect(await errorOf(engine.recover())).toEqual(code('ENGINE_CLOSED'))
    expect(engine.health().open).toBe(false)
    await engine.close()
  })

  it('rejects what was waited for, outside and not inside', async () => {
    const engine = testEngine()
    const inside: string[] = []
    const run = flow('cut-off', async () => {
      await one().then(
        () => inside.push('value'),
        () => inside.push('error'),
      )
    })()
    const outside = errorOf(run)
    await quiet()
    await engine.close()
    expect(await outside).toEqual(code('ENGINE_CLOSED'))
    expect(await errorOf(run.result())).toEqual(code('ENGINE_CLOSED'))
    await quiet()
    expect(inside).toEqual([])
  })

  it('refuses calls of bodies that go on', async () => {
    const engine = testEngine()
    let thrown: unknown
    let goOn: () => void = () => undefined
    const run = flow('goes-on', async () => {
      await new Promise<void>((resolve) => (goOn = resolve))
      try {
        one()
      } catch (error) {
        thrown = error
      }
    })()
    run.ignore()
    await quiet()
    await engine.close()
    goOn()
    await quiet()
    expect(thrown).toEqual(code('ENGINE_CLOSED'))
  })
})

describe('what a body throws', () => {
  const throwing: [string, unknown, object][] = [
    ['undefined', undefined, { code: 'NON_ERROR_THROWN', details: { thrown: undefined } }],
    ['null', null, { code: 'NON_ERROR_THROWN', details: { thrown: null } }],
    ['a string', 'no luck', { code: 'NON_ERROR_THROWN', details: { thrown: 'no luck' } }],
    ['a number', 42, { code: 'NON_ERROR_THROWN', details: { thrown: 42 } }],
    ['an object', { status: 404 }, { code: 'NON_ERROR_THROWN', details: { thrown: { status: 404 } } }],
    ['an error', new SyntaxError('bad'), { name: 'SyntaxError', message: 'bad' }],
  ]
  for (const [name, value, expected] of throwing) {
    it(`fails the run with an error that says so: ${name}`, async () => {
      await using engine = testEngine()
      const error = expect.objectContaining(expected) as unknown
      const bad = task('bad', () => {
        throw value
      })
      const worse = flow('worse', async () => {
        throw value
      })
      expect(await outcomeOf(engine, flow('of-task', () => bad())())).toMatchObject({
        state: 'Failed',
        error,
      })
      expect(await outcomeOf(engine, worse())).toMatchObject({ state: 'Failed', error })
    })
  }

  it('may be a thenable, which is not awaited', async () => {
    await using engine = testEngine()
    let asked = false
    const run = flow('thenable', () => {
      throw Object.defineProperty({}, 'then', {
        get: () => {
          asked = true
          return undefined
        },
      })
    })()
    expect(await outcomeOf(engine, run)).toMatchObject({ state: 'Failed', error: code('NON_ERROR_THROWN') })
    const future = flow('throws-future', () => {
      throw one()
    })()
    expect(await outcomeOf(engine, future)).toMatchObject({
      state: 'Failed',
      error: code('NON_ERROR_THROWN'),
    })
    expect(asked).toBe(false)
  })

  it('may be a function, a symbol, or an object that can not be turned into text', async () => {
    await using engine = testEngine()
    const cyclic: { self?: unknown } = {}
    cyclic.self = cyclic
    for (const value of [
      () => 1,
      Symbol('s'),
      cyclic,
      10n,
      {
        toJSON: () => {
          throw new Error('x')
        },
      },
    ]) {
      const run = flow('odd', () => {
        throw value
      })()
      expect(await outcomeOf(engine, run)).toMatchObject({ state: 'Failed', error: code('NON_ERROR_THROWN') })
    }
  })
})

describe('two copies of the package', () => {
  let folder = ''
  let other: typeof import('@troupe/core')

  beforeAll(async () => {
    const core = fileURLToPath(new URL('../../', import.meta.url))
    folder = await mkdtemp(join(tmpdir(), 'troupe-copy-'))
    await cp(join(core, 'dist'), join(folder, 'dist'), { recursive: true })
    const manifest = JSON.parse(await readFile(join(core, 'package.json'), 'utf8')) as object
    // As it would be without the source: the condition of these tests leads there.
    const imports = { '#start': './dist/engine/start.js', '#observe': './dist/remote/observe.js' }
    await writeFile(join(folder, 'package.json'), JSON.stringify({ ...manifest, imports }))
    for (const name of ['node_modules', 'src']) await symlink(join(core, name), join(folder, name))
    const url = pathToFileURL(join(folder, 'dist/index.js')).href
    other = (await import(/* @vite-ignore */ url)) as typeof import('@troupe/core')
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  it('are noticed where a task of one is called in a flow of the other', async () => {
    const theirs = other.task('theirs', () => 1)
    expect(await thrownInFlow(() => theirs())).toEqual(code('TWO_COPIES', /npm ls @troupe\/core/))
  })

  it('are noticed where a future of one is an argument in the other', async () => {
    await using engine = testEngine()
    const others = other.createEngine()
    const foreign = others.run(other.flow('theirs-too', () => 1)) as unknown as TaskFuture<number>
    expect(await foreign).toBe(1)
    const run = engine.run(
      flow('takes-theirs', () => {
        expect(() => echo.with({ waitFor: foreign })(1)).toThrow(code('TWO_COPIES'))
        expect(() => echo([foreign])).toThrow(code('TWO_COPIES', /args\[0\]\[0\]/))
      }),
    )
    expect(await outcomeOf(engine, run)).toMatchObject({ state: 'Completed' })
    await others.close()
  })

  it('are noticed where the one open engine is of the other', async () => {
    await using engine = testEngine()
    expect(() => other.flow('ambient', () => 1)()).toThrow(code('TWO_COPIES'))
    expect(() => other.flow('given', () => 1).with({ engine })()).toThrow(
      code('INVALID_OPTION', /createEngine/),
    )
  })

  it('are noticed where one asks for the run of the other', async () => {
    await using engine = testEngine()
    const run = flow('asks', () => {
      expect(() => other.currentFlowRun()).toThrow(code('TWO_COPIES'))
      return currentFlowRun().name
    })()
    expect(await engine.settle(run)).toBe('asks')
  })
})
