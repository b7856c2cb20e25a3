// Traffic that looks like a small shop's: for the demo panel. Pure but for the random source it is given.

import type { NewEvent } from "../wire/types";

interface Stop {
  route: (random: () => number) => string;
  weight: number;
  /** Typical latency. */
  ms: number;
}

const fixed = (path: string) => () => path;
const numbered = (prefix: string, upTo: number) => (random: () => number) =>
  `${prefix}${1 + Math.floor(random() ** 2 * upTo)}`;

const STOPS: Stop[] = [
  { route: fixed("/"), weight: 26, ms: 18 },
  { route: numbered("/product/", 900), weight: 22, ms: 42 },
  { route: fixed("/checkout"), weight: 12, ms: 88 },
  { route: fixed("/search"), weight: 11, ms: 64 },
  { route: fixed("/cart"), weight: 9, ms: 30 },
  { route: fixed("/api/session"), weight: 7, ms: 12 },
  { route: fixed("/login"), weight: 4, ms: 55 },
  { route: fixed("/assets/app.js"), weight: 4, ms: 4 },
  { route: numbered("/account/orders/", 5_000), weight: 2.5, ms: 70 },
  { route: fixed("/help"), weight: 1.2, ms: 22 },
  { route: numbered("/blog/", 40), weight: 0.8, ms: 25 },
  { route: fixed("/contact"), weight: 0.5, ms: 20 },
];
const TOTAL = STOPS.reduce((sum, stop) => sum + stop.weight, 0);
const HOME = STOPS[0] as Stop;

/** The route that fails during a spell. */
export const SPELL_ROUTE = "/checkout";

export interface Story {
  /** Events a second: a busier site has more people on it. */
  rate: number;
  spell: boolean;
}

/** One event of the story; `id` makes a batch that is sent twice count once. */
export function nextEvent(story: Story, id: string, random: () => number): NewEvent {
  let pick = random() * TOTAL;
  const stop = STOPS.find((candidate) => {
    pick -= candidate.weight;
    return pick <= 0;
  });
  const { route: routeOf, ms } = stop ?? HOME;
  const route = routeOf(random);
  const failing = story.spell && route === SPELL_ROUTE;
  const roll = random();
  let status = 200;
  if (failing ? roll < 0.5 : roll < 0.003) status = 503;
  else if (roll > 0.985) status = 404;
  else if (roll > 0.96) status = 302;
  // Log-normal-ish: most answers near the typical, a long tail above it.
  const spread = 0.6 + 0.5 * random() - 0.35 * Math.log(1 - random());
  const latencyMs = Math.round(ms * spread * (failing ? 5 : 1) * 10) / 10;
  const people = Math.max(8, Math.round(story.rate * 6));
  const user = Math.floor(random() ** 2 * people);
  return {
    eventId: id,
    type: status >= 500 ? "error" : "page_view",
    route,
    status,
    latencyMs,
    userId: `demo-user-${user}`,
    sessionId: `demo-session-${user}`,
  };
}

/** How many events to send now for a rate that swells and stutters like people do, but never over a limit. */
export function dueEvents(
  rate: number,
  limit: number | undefined,
  elapsedMs: number,
  nowMs: number,
  random: () => number,
): number {
  const swell = 1 + 0.2 * Math.sin(nowMs / 9_000) + 0.1 * Math.sin(nowMs / 2_300);
  const pace = Math.min(rate * swell, limit ?? Number.POSITIVE_INFINITY);
  const exact = (pace * elapsedMs) / 1_000;
  const floor = Math.floor(exact);
  return floor + (random() < exact - floor ? 1 : 0);
}
