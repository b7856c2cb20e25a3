// Repeatable traffic with a story, for the mock daemon: a slow swell, small bursts, an error spell on one route.

function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const ROUTES = [
  ["/", 26, 18],
  ["/product/:id", 22, 42],
  ["/checkout", 12, 88],
  ["/search", 11, 64],
  ["/cart", 9, 30],
  ["/api/session", 7, 12],
  ["/login", 4, 55],
  ["/assets/app.js", 4, 4],
  ["/account/orders/:id", 2.5, 70],
  ["/help", 1.2, 22],
  ["/blog/:id", 0.8, 25],
  ["/contact", 0.3, 20],
  ["/terms", 0.2, 15],
];
const TOTAL = ROUTES.reduce((sum, [, weight]) => sum + weight, 0);

/** Events of one second, the same for the same tick and rate. */
export function eventsOf(tick, perSecond) {
  const rnd = random(tick);
  const swell = 1 + 0.3 * Math.sin(tick / 47) + 0.15 * Math.sin(tick / 11);
  const burst = tick % 97 < 6 ? 1.5 : 1;
  const spell = tick % 240 > 200 && tick % 240 < 225;
  const count = Math.round(perSecond * swell * burst * (0.9 + 0.2 * rnd()));
  const events = [];
  for (let i = 0; i < count; i++) {
    let pick = rnd() * TOTAL;
    const [route, , base] =
      ROUTES.find(([, weight]) => {
        pick -= weight;
        return pick <= 0;
      }) ?? ROUTES[0];
    const failing = spell && route === "/checkout";
    const roll = rnd();
    let status = 200;
    if (failing ? roll < 0.45 : roll < 0.003) status = 503;
    else if (roll > 0.985) status = 404;
    else if (roll > 0.96) status = 302;
    const latencyMs =
      Math.round(base * (0.6 + 0.5 * rnd() - 0.35 * Math.log(1 - rnd())) * (failing ? 4 : 1) * 10) / 10;
    events.push({
      type: status >= 500 ? "error" : "page_view",
      route,
      status,
      latencyMs,
      userId: `u${Math.floor(rnd() ** 2 * perSecond * 8)}`,
      timestamp: tick * 1000 + Math.floor(rnd() * 1000),
    });
  }
  return events;
}
