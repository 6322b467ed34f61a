/** Text between `<!-- name -->` and `<!-- /name -->`, for each name. What is not there throws, and so does what is there and not given. */
export function withParts(text: string, parts: Readonly<Record<string, string>>): string {
  let result = text
  for (const [name, part] of Object.entries(parts)) {
    const [begin, end] = [`<!-- ${name} -->`, `<!-- /${name} -->`]
    const from = result.indexOf(begin)
    const to = result.indexOf(end)
    if (from === -1 || to < from) throw new Error(`no place for "${name}"`)
    result = `${result.slice(0, from + begin.length)}\n\n${part}\n\n${result.slice(to)}`
  }
  const unknown = [...text.matchAll(/<!-- \/(\S+) -->/g)].find(([, name = '']) => !(name in parts))
  if (unknown !== undefined) throw new Error(`nothing for "${unknown[1]}"`)
  return result
}
