const codes = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const

/** Ends the process on a Ctrl-C as at its end: temporary folders and servers go with it, which a signal would leave behind. */
export function endOnSignals(): void {
  for (const [signal, code] of Object.entries(codes)) process.once(signal, () => process.exit(code))
}
