/**
 * A real headless Chromium for the tests of this repository: one that is there, or Debian's. It knows nothing of Troupe.
 */
export { ChromiumError } from './errors.ts'
export { findChromium } from './find.ts'
export { launchChromium } from './launch.ts'
export type { Browser, Page } from 'playwright-core'
