/** What the report says about when flights are late. */
import { COLOUR, SHARE_STEPS, drawing } from './chart.ts'
import { SHOWN, calendar, delayHistogram, monthShares, monthSpreads } from './charts-of-days.ts'
import { flightsByHour, hoursOfDay, hoursOfWeek } from './charts-of-hours.ts'
import { type Findings, MINIMUM, lateShare } from './findings.ts'
import { type Html, figure, halfFigure, html, legend, scale } from './page.ts'
import { FIRST_MINUTE, LATE_FROM, type Tally, addTally, emptyTally } from './summary.ts'
import { WEEKDAYS, counted, dayName, exact, hourName, landed, monthName, percent } from './words.ts'

const shareScale = scale(
  `Share of flights that landed ${LATE_FROM} minutes late or more`,
  SHARE_STEPS,
  (limit) => `${Math.round(limit * 100)}%`,
)

export async function howLate(findings: Findings): Promise<Html> {
  const { all } = findings
  const beyond = all.byMinute.subarray(SHOWN.to + 1 - FIRST_MINUTE).reduce((sum, flights) => sum + flights, 0)
  return html`<section>
    <h2>Most flights land near the minute they promised</h2>
    <p>
      The middle half of all flights landed between ${landed(all.p25)} and ${landed(all.p75)}; eight in ten,
      between ${landed(all.p10)} and ${landed(all.p90)}. The tail to the right is thin and long:
      ${exact(beyond)} flights were more than ${SHOWN.to} minutes late and lie beyond the edge.
    </p>
    ${legend({
      Early: COLOUR.early,
      [`Up to ${LATE_FROM - 1} minutes late: still on time for the Department of Transportation`]:
        COLOUR.onTime,
      [`Late, ${LATE_FROM} minutes or more`]: COLOUR.late,
    })}
    ${figure(await drawing(delayHistogram(findings)), 'Flights by minutes of arrival delay')}
    <p class="note">Flights for each minute of arrival delay.</p>
  </section>`
}

export async function whichDay(findings: Findings): Promise<Html> {
  const [worst, ...others] = findings.days.filter((day) => day.flights >= MINIMUM.day).sort(moreLate)
  const best = others.at(-1)
  if (!worst || !best) return html``
  return html`<section>
    <h2>Delay comes in bad days</h2>
    <p>
      On ${dayName(worst.date)}, ${percent(lateShare(worst))} of ${exact(worst.flights)} flights landed late.
      On ${dayName(best.date)} it was ${percent(lateShare(best))} of ${exact(best.flights)}.
    </p>
    ${shareScale} ${figure(await drawing(calendar(findings)), 'Share of late flights each day')}
  </section>`
}

export async function whichMonth(findings: Findings): Promise<Html> {
  const [worst, ...others] = findings.months.filter((month) => month.flights >= MINIMUM.month).sort(moreLate)
  const best = others.at(-1)
  if (!worst || !best) return html``
  const tooFew = findings.months.filter((month) => month.flights < MINIMUM.month)
  return html`<section>
    <h2>${monthName(worst.month)} was the hardest month, ${monthName(best.month)} the easiest</h2>
    <p>
      In ${monthName(worst.month)} ${percent(lateShare(worst))} of ${exact(worst.flights)} flights landed
      late, in ${monthName(best.month)} ${percent(lateShare(best))} of ${exact(best.flights)}. The median
      moves by a few minutes only; the slow end makes the difference.
    </p>
    <div class="pair">
      ${halfFigure(await drawing(monthShares(findings)), `Landed ${LATE_FROM} minutes late or more`)}
      ${halfFigure(
        await drawing(monthSpreads(findings)),
        'Minutes late',
        legend({
          'Eight in ten flights': COLOUR.early,
          'The middle half': COLOUR.onTime,
          Median: COLOUR.late,
        }),
      )}
    </div>
    ${tooFew.map(
      (month) =>
        html`<p class="note">
          ${monthName(month.month)} is left out: the file has only ${counted(month.flights, 'flight')} of it.
        </p>`,
    )}
  </section>`
}

export async function whichHour(findings: Findings): Promise<Html> {
  const morning = findings.hours.find((hour) => hour.hour === 6)
  const night = findings.hours.find((hour) => hour.hour === 21)
  const tooFew = findings.hours.filter((hour) => hour.flights < MINIMUM.hourOfDay)
  if (!morning || !night) return html``
  return html`<section>
    <h2>Leave early: delay piles up through the day</h2>
    <p>
      Of the flights that left between six and seven in the morning ${percent(lateShare(morning))} landed
      late; of those that left between nine and ten at night, ${percent(lateShare(night))}. The median flight
      stays near schedule all day long. It is the unlucky ones who wait longer and longer.
    </p>
    ${legend({
      'Eight in ten flights': COLOUR.early,
      'The middle half': COLOUR.onTime,
      'Median, minutes late': COLOUR.late,
      'Number of flights, below': COLOUR.faint,
    })}
    ${figure(await drawing(hoursOfDay(findings)), 'Delays by hour of departure')}
    ${figure(await drawing(flightsByHour(findings)), 'Flights by hour of departure')}
    <p class="note">
      The hour is that of the actual departure, local time; the file has no scheduled time. A flight held back
      for three hours counts three hours later than planned, so part of the rise late at night comes from
      flights that were planned for earlier hours. Left out, with fewer than ${exact(MINIMUM.hourOfDay)}
      flights: ${tooFew.map((hour) => `${hourName(hour.hour)} (${exact(hour.flights)})`).join(', ')}.
    </p>
  </section>`
}

export async function whichWeekday(findings: Findings): Promise<Html> {
  const [worst, ...others] = WEEKDAYS.map((name, weekday) => {
    const sum = emptyTally()
    for (const cell of findings.week) if (cell.weekday === weekday) addTally(sum, cell)
    return { name, ...sum }
  }).sort(moreLate)
  const best = others.at(-1)
  if (!worst || !best) return html``
  return html`<section>
    <h2>${worst.name} evening is no time to fly</h2>
    <p>
      ${percent(lateShare(worst))} of all flights on a ${worst.name} landed late, and
      ${percent(lateShare(best))} on a ${best.name}. Each cell is one hour of the week, and its number the
      percentage of flights that landed late.
    </p>
    ${shareScale} ${figure(await drawing(hoursOfWeek(findings)), 'Share of late flights by weekday and hour')}
    <p class="note">By hour of actual departure. The hours left out above are left out here.</p>
  </section>`
}

const moreLate = (a: Tally, b: Tally): number => lateShare(b) - lateShare(a)
