import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

/** What a child process printed on standard output. It fails where the process fails, or prints an error. */
export async function outputOf(file: string): Promise<string> {
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [file], { timeout: 20_000 })
  if (stderr !== '') throw new Error(`${file} wrote to standard error:\n${stderr}`)
  return stdout
}

/** What a program says that it prints, in the comment at its end. */
export function expectedOutput(source: string): string | undefined {
  const [, comment] = source.split(/^\/\/ Output:\n/m)
  return comment?.replace(/^\/\/ ?/gm, '')
}
