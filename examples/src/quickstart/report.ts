/** The report: one page of what the findings say, in words, charts and tables. */
import type { StatesMap } from './charts-of-places.ts'
import { type Findings, MINIMUM, lateShare } from './findings.ts'
import { type Html, html, page } from './page.ts'
import { whichAirport, whichRoute } from './sections-of-places.ts'
import { howLate, whichDay, whichHour, whichMonth, whichWeekday } from './sections-of-time.ts'
import { LATE_FROM } from './summary.ts'
import { exact, inWords, landed, minute, minutes, percent, period } from './words.ts'

/** Writes the page. Drawing takes a while, so it stops between two sections when the signal fires. */
export async function renderReport(
  findings: Findings,
  states: StatesMap,
  signal: AbortSignal,
): Promise<string> {
  const sections: Html[] = []
  for (const section of [howLate, whichDay, whichMonth, whichHour, whichWeekday, whichAirport, whichRoute]) {
    sections.push(await section(findings, states))
    signal.throwIfAborted()
  }
  return page(
    'Flights and their delays, 2001',
    html`<main>${opening(findings)} ${sections} ${aboutTheData(findings)}</main>
      <footer>
        Made by the quickstart of Troupe, a flow execution engine for TypeScript. Flights: US Bureau of
        Transportation Statistics, as packed in vega-datasets. Map: US Census Bureau.
      </footer>`,
  )
}

function opening({ all, miles, firstDeparture, lastDeparture }: Findings): Html {
  const typical = landed(all.median).replace(/^\d /, (count) => `${inWords(Number(count))} `)
  return html`<header>
    <p class="eyebrow">US airlines, ${period(firstDeparture, lastDeparture)}</p>
    <h1>
      <span>The typical flight landed ${typical}.</span>
      <span>One in ${inWords(Math.round(all.flights / all.late))} landed late.</span>
    </h1>
    <p class="lede">
      <strong>${exact(all.flights)} flights</strong> covered ${exact(miles)} miles.
      ${percent(all.early / all.flights)} reached the gate ahead of schedule. The slowest five in a hundred
      reached it at least ${minute(all.p95)} minutes behind.
    </p>
    <dl class="figures">
      <div>
        <dt>Flights</dt>
        <dd>${exact(all.flights)}<small>that reached their destination</small></dd>
      </div>
      <div>
        <dt>${LATE_FROM} minutes late or more</dt>
        <dd>${percent(lateShare(all))}<small>${exact(all.late)} flights</small></dd>
      </div>
      <div>
        <dt>An hour late or more</dt>
        <dd>${percent(all.hourLate / all.flights)}<small>${exact(all.hourLate)} flights</small></dd>
      </div>
      <div>
        <dt>Median delay</dt>
        <dd>
          ${minute(all.median)} min<small>the mean is ${minutes(all.mean)}, pulled up by long delays</small>
        </dd>
      </div>
    </dl>
  </header>`
}

function aboutTheData({ all, incomplete, smallestDelay, largestDelay }: Findings): Html {
  return html`<section class="notes">
    <h2>What the figures mean</h2>
    <ul>
      <li>
        <strong>Delay</strong> is arrival delay: the minutes between scheduled and actual arrival at the gate.
        A negative delay means early. Means and medians count early flights as negative; nothing is cut to
        zero.
      </li>
      <li>
        <strong>Late</strong> means ${LATE_FROM} minutes or more, the rule of the US Department of
        Transportation.
      </li>
      <li>
        <strong>Not in the data</strong> are flights that were cancelled or diverted: they have no arrival
        delay. On stormy days the figures flatter the airlines.
      </li>
      <li>
        <strong>Cleaning:</strong> rows with a missing value are left out; there were ${exact(incomplete)}.
        Nothing else is. The smallest delay is ${minute(smallestDelay)} minutes and the largest
        ${minute(largestDelay)}: such extremes may be errors of entry, but they are far too few to change a
        figure shown.
      </li>
      <li>
        <strong>The file</strong> holds exactly ${exact(all.flights + incomplete)} rows. Its makers' script
        draws a sample from the full record when it is told how many rows to keep, as the round number
        suggests; counts here are counts of this file.
      </li>
      <li><strong>Percentiles</strong> are exact: delays are whole minutes, and every minute was counted.</li>
      <li>
        <strong>Rankings</strong> leave out airports with fewer than ${exact(MINIMUM.airport)} arrivals and
        routes with fewer than ${exact(MINIMUM.route)} flights. Flights of one day share their weather, so
        neighbours in a ranking that differ by a point or so should be read as equal.
      </li>
    </ul>
  </section>`
}
