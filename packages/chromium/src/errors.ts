/** No Chromium could be had, or it did not start. The message says what to do. */
export class ChromiumError extends Error {
  override readonly name = 'ChromiumError'
}
