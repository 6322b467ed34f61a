/** What the report says about where flights are late. */
import { MINUTE_STEPS, drawing } from './chart.ts'
import { type StatesMap, airportEnd, airportMap, isOffMap } from './charts-of-places.ts'
import {
  type Findings,
  MINIMUM,
  type RouteFinding,
  lateShare,
  meanDelay,
  rankedAirports,
  rankedRoutes,
} from './findings.ts'
import { type Html, figure, halfFigure, html, meter, scale, table } from './page.ts'
import { exact, minute, minutes, percent } from './words.ts'

/** Rows of the tables of routes. */
const ROUTES = 10

export async function whichAirport(findings: Findings, states: StatesMap): Promise<Html> {
  const ranked = rankedAirports(findings)
  const [worst] = ranked
  const best = ranked.at(-1)
  if (!worst || !best) return html``
  const offMap = findings.airports.filter((airport) => isOffMap(airport) && airport.arrivals.flights > 0)
  return html`<section>
    <h2>Where planes arrive late</h2>
    <p>
      ${worst.place} had the largest share of late arrivals of the ${ranked.length} airports with at least
      ${exact(MINIMUM.airport)} of them: ${exact(worst.arrivals.late)} of ${exact(worst.arrivals.flights)}, or
      ${percent(lateShare(worst.arrivals))}. ${best.place} had the smallest,
      ${percent(lateShare(best.arrivals))}.
    </p>
    ${scale('Mean arrival delay in minutes', MINUTE_STEPS, minute)}
    ${figure(await drawing(airportMap(findings, states)), 'Airports by arrivals and mean delay')}
    <p class="note">
      The area of a circle grows with the number of arrivals; airports with fewer than
      ${MINIMUM.mappedAirport} are not drawn. Off the map:
      ${offMap
        .map(
          ({ place, iata, arrivals }) =>
            `${place} (${iata}, ${exact(arrivals.flights)} arrivals, mean ${minutes(meanDelay(arrivals))})`,
        )
        .join('; ')}.
    </p>
    <div class="pair">
      ${halfFigure(await drawing(airportEnd(findings, 'most')), 'Largest share of arrivals late')}
      ${halfFigure(await drawing(airportEnd(findings, 'fewest')), 'Smallest share of arrivals late')}
    </div>
    <details>
      <summary>All ${ranked.length} ranked airports, with counts</summary>
      ${table(
        'Arrivals',
        ['Airport', 'Arrivals', 'Late', 'Share late', 'Mean delay', 'Departures'],
        ranked.map((airport, place) => [
          html`${place + 1}. ${airport.place} <small>${airport.iata}, ${airport.name}</small>`,
          exact(airport.arrivals.flights),
          exact(airport.arrivals.late),
          percent(lateShare(airport.arrivals)),
          minutes(meanDelay(airport.arrivals)),
          exact(airport.departures.flights),
        ]),
      )}
    </details>
  </section>`
}

export function whichRoute(findings: Findings): Html {
  const rows = (routes: RouteFinding[]): (Html | string)[][] =>
    routes
      .slice(0, ROUTES)
      .map((route) => [
        html`${route.codes}<small>${route.from} to ${route.to}</small>`,
        exact(route.flights),
        html`${percent(lateShare(route))}${meter(lateShare(route))}`,
        minutes(meanDelay(route)),
      ])
  const headings = ['Route', 'Flights', 'Late', 'Mean delay']
  return html`<section>
    <h2>The busiest routes, and the most delayed</h2>
    <p>
      ${exact(findings.routeCount)} routes were flown, each direction counted for itself. The ranking by delay
      looks at the ${exact(findings.routes.length)} with at least ${exact(MINIMUM.route)} flights.
    </p>
    <div class="pair">
      ${table('Most flights', headings, rows(findings.routes))}
      ${table('Largest share of late flights', headings, rows(rankedRoutes(findings)))}
    </div>
  </section>`
}
