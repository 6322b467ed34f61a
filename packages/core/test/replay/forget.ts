/** As in a process that does not define it: `flow:name`. */
export function forgetDefinitions(name: string): void {
  const definitions = (globalThis as { [key: symbol]: Map<string, unknown> | undefined })[
    Symbol.for('@troupe/core/definitions')
  ]
  definitions?.delete(name)
}
