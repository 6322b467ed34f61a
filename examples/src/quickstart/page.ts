/** One HTML file that needs nothing else: fonts, style and drawings are inside. */
import { readFile } from 'node:fs/promises'

import type { Steps } from './chart.ts'
import { STYLE } from './page-style.ts'

/** Text that is HTML already. Whatever else is put into `html` is escaped. */
export class Html {
  readonly source: string

  constructor(source: string) {
    this.source = source
  }
}

type Part = Html | string | number | readonly Html[]

/** Builds HTML: html`<p>${text}</p>`. */
export function html(strings: TemplateStringsArray, ...parts: Part[]): Html {
  return new Html(
    strings.map((string, place) => string + (place < parts.length ? sourceOf(parts[place]!) : '')).join(''),
  )
}

/** The whole page. */
export async function page(title: string, body: Html): Promise<string> {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title}</title>
        <style>
          ${new Html((await fonts()) + STYLE)}
        </style>
      </head>
      <body>
        ${body}
        <script>
          ${new Html(TIPS)}
        </script>
      </body>
    </html> `.source
}

/** A drawing as wide as the page's column. */
export const figure = (svg: string, label: string): Html =>
  html`<figure role="group" aria-label="${label}">${new Html(svg)}</figure>`

/** A drawing for one half of a pair, with its title. */
export const halfFigure = (svg: string, title: string, legend: Html = html``): Html =>
  html`<div class="titled">
    <h4>${title}</h4>
    ${legend}
    <figure class="half" role="group" aria-label="${title}">${new Html(svg)}</figure>
  </div>`

/** What each of a few colours stands for. */
export function legend(entries: Record<string, string>): Html {
  const items = Object.entries(entries).map(
    ([text, colour]) => html`<li><i style="background:${colour}"></i>${text}</li>`,
  )
  return html`<ul class="legend">
    ${items}
  </ul>`
}

/** What steps of colour stand for: the limits stand between two steps. */
export function scale(title: string, steps: Steps, say: (limit: number) => string): Html {
  const items = steps.colours.map((colour, step) => {
    const limit = steps.limits[step]
    return html`<li style="--step:${colour}"><span>${limit === undefined ? '' : say(limit)}</span></li>`
  })
  return html`<div class="scale">
    <div>${title}</div>
    <ol>
      ${items}
    </ol>
  </div>`
}

/** A table; the first column is text, the others are numbers. */
export function table(
  caption: string,
  headings: readonly string[],
  rows: readonly (readonly (string | Html)[])[],
): Html {
  return html`<table>
    <caption>
      ${caption}
    </caption>
    <thead>
      <tr>
        ${headings.map((heading) => html`<th scope="col">${heading}</th>`)}
      </tr>
    </thead>
    <tbody>
      ${rows.map(
        (cells) =>
          html`<tr>
            ${cells.map((cell) => html`<td>${cell}</td>`)}
          </tr> `,
      )}
    </tbody>
  </table>`
}

/** A thin bar, filled to a share. */
export const meter = (share: number): Html =>
  html`<span class="meter"><i style="width:${(share * 100).toFixed(1)}%"></i></span>`

function sourceOf(part: Part): string {
  if (part instanceof Html) return part.source
  if (typeof part === 'object') return part.map((one) => one.source).join('')
  return String(part).replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`)
}

/** Fonts as data in the page, so that it looks the same everywhere and asks nobody for them. */
async function fonts(): Promise<string> {
  const faces = {
    'Inter Variable': import.meta.resolve('@fontsource-variable/inter/files/inter-latin-wght-normal.woff2'),
    'Source Serif 4 Variable': import.meta
      .resolve('@fontsource-variable/source-serif-4/files/source-serif-4-latin-wght-normal.woff2'),
  }
  const rules = Object.entries(faces).map(async ([family, file]) => {
    const data = await readFile(new URL(file), 'base64')
    return `@font-face{font-family:'${family}';font-weight:200 900;src:url(data:font/woff2;base64,${data}) format('woff2')}`
  })
  return (await Promise.all(rules)).join('\n')
}

/** Shows the text of the mark under the pointer. Without scripts the page lacks only this. */
const TIPS = `
const tip = Object.assign(document.createElement('div'), { className: 'tip', hidden: true })
document.body.append(tip)
addEventListener('pointermove', (event) => {
  const mark = event.target.closest?.('[role="graphics-symbol"]:not([aria-roledescription="axis"])')
  tip.hidden = !mark?.ariaLabel
  if (tip.hidden) return
  tip.textContent = mark.ariaLabel
  tip.style.left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 12) + 'px'
  tip.style.top = Math.max(event.clientY - tip.offsetHeight - 14, 8) + 'px'
})
`
