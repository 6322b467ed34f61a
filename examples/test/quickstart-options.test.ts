import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { describe, expect, it } from 'vitest'

import { UsageError, parseOptions } from '../src/quickstart/options.ts'

const runners = ['sequential', 'concurrent', 'threads']

describe('parseOptions', () => {
  it('has defaults for everything', () => {
    expect(parseOptions([], runners)).toMatchObject({ runner: 'concurrent', help: false })
  })

  it('takes a runner and a file', () => {
    const out = join(tmpdir(), 'report.html')
    expect(parseOptions(['--runner', 'sequential', '--out', out], runners)).toEqual({
      runner: 'sequential',
      threads: undefined,
      out,
      help: false,
    })
  })

  it('takes a number of threads', () => {
    expect(parseOptions(['--runner', 'threads', '--threads', '4'], runners)).toMatchObject({ threads: 4 })
    expect(parseOptions(['--runner', 'threads'], runners)).toMatchObject({ threads: undefined })
  })

  it('skips the dashes that npm needs before options', () => {
    expect(parseOptions(['--', '--runner', 'sequential'], runners)).toMatchObject({ runner: 'sequential' })
  })

  it.each([
    [['--runer', 'sequential'], "Unknown option '--runer'"],
    [['--runner', 'fast'], "--runner must be sequential, concurrent or threads, not 'fast'"],
    [['--threads', '2'], "--threads goes with --runner threads, not 'concurrent'"],
    [['--runner', 'threads', '--threads', '0'], "--threads must be a number from 1 to 999, not '0'"],
    [['--runner', 'threads', '--threads', 'all'], "--threads must be a number from 1 to 999, not 'all'"],
    [['--out'], "Option '--out <value>' argument missing"],
    [['--out', tmpdir()], `--out must name a file, not '${tmpdir()}'`],
    [
      ['--out', join(tmpdir(), 'no', 'such', 'r.html')],
      `--out: there is no folder '${join(tmpdir(), 'no', 'such')}'`,
    ],
    [['report.html'], "Unexpected argument 'report.html'"],
  ])('refuses %j in one line', (args, message) => {
    expect(() => parseOptions(args, runners)).toThrow(new UsageError(message))
  })
})
