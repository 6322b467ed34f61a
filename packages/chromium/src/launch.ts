import { chromium, type Browser } from 'playwright-core'
import { ChromiumError } from './errors.ts'
import { findChromium } from './find.ts'

/**
 * Starts a headless Chromium. It ends with this process, at the latest.
 *
 * @throws {@link ChromiumError} Where there is none to be had, or it does not start.
 */
export async function launchChromium(): Promise<Browser> {
  const executablePath = await findChromium()
  try {
    return await chromium.launch({
      executablePath,
      headless: true,
      // What it shows is ours, and as root it has no sandbox. Containers give little shared memory.
      args: ['--no-sandbox', '--disable-dev-shm-usage'],
    })
  } catch (error) {
    throw new ChromiumError(`${executablePath} did not start: ${String(error)}`, { cause: error })
  }
}
