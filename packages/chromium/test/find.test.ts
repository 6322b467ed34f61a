/** Where a Chromium is looked for, and what is said where there is none. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ChromiumError, findChromium, launchChromium } from '@troupe/chromium'
import { afterEach, describe, expect, it } from 'vitest'
import type { Machine } from '../src/find.ts'

const folder = mkdtempSync(join(tmpdir(), 'troupe-chromium-'))
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** A machine with these programs, where nothing is installed. */
function machine(programs: readonly string[], { env = {}, ...rest }: Partial<Machine> = {}): Machine {
  for (const name of programs) program(name)
  return {
    env: { PATH: join(folder, 'bin'), ...env },
    isRoot: false,
    folders: [join(folder, 'elsewhere')],
    run: () => Promise.reject(new Error('nothing is to be run')),
    ...rest,
  }
}

function program(name: string): void {
  const file = join(folder, name)
  mkdirSync(join(file, '..'), { recursive: true })
  writeFileSync(file, '')
  chmodSync(file, 0o755)
}

describe('findChromium', () => {
  it('takes what is on the PATH, Chromium before others', async () => {
    expect(await findChromium(machine(['bin/google-chrome', 'bin/chromium']))).toBe(
      join(folder, 'bin/chromium'),
    )
  })

  it('looks where browsers are that are not on the PATH', async () => {
    const found = await findChromium(machine(['elsewhere/Google Chrome']))
    expect(found).toBe(join(folder, 'elsewhere/Google Chrome'))
  })

  it('takes what TROUPE_CHROMIUM names, and nothing else', async () => {
    const named = machine(['bin/chromium', 'mine'], { env: { TROUPE_CHROMIUM: join(folder, 'mine') } })
    expect(await findChromium(named)).toBe(join(folder, 'mine'))
    const wrong = machine(['bin/chromium'], { env: { TROUPE_CHROMIUM: join(folder, 'none') } })
    await expect(findChromium(wrong)).rejects.toThrow(/TROUPE_CHROMIUM names .*none, which is no program/)
  })

  it('installs the package of Debian where it may', async () => {
    const commands: string[] = []
    const found = await findChromium(
      machine([], {
        isRoot: true,
        run: async (command, args) => {
          commands.push([command, ...args].join(' '))
          if (args.includes('chromium')) program('bin/chromium')
        },
      }),
    )
    expect(found).toBe(join(folder, 'bin/chromium'))
    expect(commands).toEqual([
      expect.stringMatching(/^apt-get update /),
      expect.stringMatching(/^apt-get install .* chromium$/),
    ])
  })

  it('says what is missing and what to do where it may not, or can not', async () => {
    const error = await findChromium(machine([])).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(ChromiumError)
    expect(String(error)).toContain('There is no Chromium here, and this test needs one.')
    expect(String(error)).toContain("did not install Debian's, for that takes root")
    expect(String(error)).toContain('apt-get install chromium')
    const stderr = 'Reading package lists...\nE: Unable to locate package chromium\n'
    const run = (): Promise<never> => Promise.reject(Object.assign(new Error('exit 100'), { stderr }))
    await expect(findChromium(machine([], { isRoot: true, run }))).rejects.toThrow(
      "could not install Debian's: E: Unable to locate package chromium",
    )
  })
})

describe('launchChromium', () => {
  it('starts a browser that shows pages', async () => {
    const browser = await launchChromium()
    const page = await browser.newPage()
    await page.setContent('<title>it is here</title>')
    expect(await page.title()).toBe('it is here')
    await browser.close()
  }, 600_000)
})
