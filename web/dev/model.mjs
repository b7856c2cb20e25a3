// A small, exact stand-in for the daemon's numbers: events by tick, windows as plain merges, history as columns.
// Nothing is sketched and nothing is stored: it holds an hour of ticks at the modest rates of tests and screenshots.

export const WINDOWS = { "1s": 1, "5s": 5, "60s": 60 };
const KEPT_TICKS = 3_700;

/** Events of one second. */
const emptyTick = () => ({ events: [], late: 0, skewed: 0 });

const classOf = (event) => (event.status ? `${Math.floor(event.status / 100)}xx` : undefined);
export const isError = (event) => event.error === true || event.type === "error" || event.status >= 500;

function quantile(sorted, q) {
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
}

export class Model {
  constructor() {
    this.ticks = new Map();
    this.ids = new Set();
    this.cache = new Map();
    this.firstTick = undefined;
    this.lastEventAt = undefined;
    this.behindMs = 0;
    this.nodes = { reporting: 1, expected: 1 };
    /** Of how many instances a tick is, where it is not of all. */
    this.parts = new Map();
    this.notices = [];
  }

  /** Takes one event in; answers "accepted", "duplicate" or a rejection. */
  add(event, nowMs) {
    if (event === null || typeof event !== "object")
      return { code: "not_an_object", message: "an event is an object" };
    for (const field of ["type", "route"]) {
      if (typeof event[field] !== "string" || event[field] === "") {
        return { code: `${field}_missing`, message: `\`${field}\` is required`, field };
      }
    }
    if (event.route.length > 512)
      return { code: "route_too_long", message: "`route` is over 512 bytes", field: "route" };
    if (event.eventId !== undefined) {
      if (this.ids.has(event.eventId)) return "duplicate";
      this.ids.add(event.eventId);
    }
    const at = event.timestamp ?? nowMs;
    const arrival = Math.floor(nowMs / 1000);
    let tick = Math.floor(at / 1000);
    let flag;
    if (tick > arrival) {
      tick = arrival;
      flag = "skewed";
    } else if (arrival - tick > 60) {
      tick = arrival;
      flag = "late";
    }
    const slot = this.tick(tick);
    if (flag) slot[flag] += 1;
    if (flag !== "late") slot.events.push({ ...event, route: event.route.split(/[?#]/)[0] });
    this.lastEventAt = Math.max(this.lastEventAt ?? 0, at);
    for (const length of Object.values(WINDOWS)) {
      for (let t = tick; t < tick + length; t++) this.cache.delete(`${length}/${t}`);
    }
    return "accepted";
  }

  tick(n) {
    let slot = this.ticks.get(n);
    if (!slot) {
      slot = emptyTick();
      this.ticks.set(n, slot);
      this.ticks.delete(n - KEPT_TICKS);
      this.parts.delete(n - KEPT_TICKS);
      this.firstTick = Math.min(this.firstTick ?? n, n);
    }
    return slot;
  }

  /** Remembers who is missing in a tick as it ends. */
  ends(n) {
    if (this.nodes.reporting < this.nodes.expected) this.parts.set(n, this.nodes);
  }

  /** What is said of now, whatever the tick. */
  now() {
    const { behindMs, nodes, notices } = this;
    return { behindMs, nodes, ...(notices.length > 0 ? { notices } : {}) };
  }

  /** The aggregate of the window that ends with tick n. */
  aggregate(window, n) {
    const length = WINDOWS[window];
    const key = `${length}/${n}`;
    const cached = this.cache.get(key);
    if (cached) return { ...cached, ...this.now() };
    const events = [];
    let late = 0;
    let skewed = 0;
    for (let t = n - length + 1; t <= n; t++) {
      const slot = this.ticks.get(t);
      if (!slot) continue;
      events.push(...slot.events);
      late += slot.late;
      skewed += slot.skewed;
    }
    const users = new Set();
    const sessions = new Set();
    const statusClasses = {};
    const types = {};
    const routes = new Map();
    const latencies = [];
    let errors = 0;
    for (const event of events) {
      const who = event.userId ?? event.sessionId ?? event.clientId;
      if (who) users.add(who);
      if (event.sessionId) sessions.add(event.sessionId);
      const statusClass = classOf(event);
      if (statusClass) statusClasses[statusClass] = (statusClasses[statusClass] ?? 0) + 1;
      types[event.type] = (types[event.type] ?? 0) + 1;
      if (!routes.has(event.route))
        routes.set(event.route, { route: event.route, events: 0, errors: 0, latencies: [] });
      const row = routes.get(event.route);
      row.events += 1;
      if (isError(event)) {
        errors += 1;
        row.errors += 1;
      }
      if (event.latencyMs !== undefined) {
        latencies.push(event.latencyMs);
        row.latencies.push(event.latencyMs);
      }
    }
    latencies.sort((a, b) => a - b);
    const rows = [...routes.values()].sort((a, b) => b.events - a.events || (a.route < b.route ? -1 : 1));
    const rest = rows.slice(10);
    const aggregate = {
      window,
      tick: n,
      from: (n - length + 1) * 1000,
      to: (n + 1) * 1000,
      events: events.length,
      eventsPerSecond: events.length / length,
      activeUsers: users.size,
      activeSessions: sessions.size,
      errors,
      statusClasses,
      types,
      topRoutes: rows.slice(0, 10).map((row) => {
        row.latencies.sort((a, b) => a - b);
        return {
          route: row.route,
          events: row.events,
          errors: row.errors,
          errorRate: row.errors / row.events,
          ...(row.latencies.length > 0 ? { p95: quantile(row.latencies, 0.95) } : {}),
        };
      }),
      otherRoutes: {
        routes: rest.length,
        events: rest.reduce((sum, row) => sum + row.events, 0),
        errors: rest.reduce((sum, row) => sum + row.errors, 0),
      },
      late,
      skewed,
    };
    if (events.length > 0) aggregate.errorRate = errors / events.length;
    if (this.lastEventAt !== undefined) aggregate.lastEventAt = this.lastEventAt;
    if (latencies.length > 0) {
      aggregate.latencyMs = {
        count: latencies.length,
        p50: quantile(latencies, 0.5),
        p95: quantile(latencies, 0.95),
        p99: quantile(latencies, 0.99),
        max: latencies[latencies.length - 1],
      };
    }
    if (this.cache.size > 20_000) this.cache.clear();
    this.cache.set(key, aggregate);
    return { ...aggregate, ...this.now() };
  }

  /** Columns of the sliding window for the given ticks; null for ticks nobody was up. */
  history(window, ticks) {
    const columns = {
      tick: ticks,
      events: [],
      activeUsers: [],
      errors: [],
      statusClasses: {},
      p50: [],
      p95: [],
      p99: [],
    };
    const aggregates = ticks.map((t) =>
      this.firstTick === undefined || t < this.firstTick ? null : this.aggregate(window, t),
    );
    const classes = new Set(aggregates.flatMap((a) => (a ? Object.keys(a.statusClasses) : [])));
    for (const name of classes) {
      columns.statusClasses[name] = aggregates.map((a) => (a ? (a.statusClasses[name] ?? 0) : null));
    }
    for (const a of aggregates) {
      columns.events.push(a ? a.events : null);
      columns.activeUsers.push(a ? a.activeUsers : null);
      columns.errors.push(a ? a.errors : null);
      for (const q of ["p50", "p95", "p99"]) columns[q].push(a?.latencyMs ? a.latencyMs[q] : null);
    }
    if (ticks.some((t) => this.parts.has(t))) {
      const { expected } = this.nodes;
      for (const name of ["reporting", "expected"]) {
        columns[name] = ticks.map((t, i) => aggregates[i] && (this.parts.get(t)?.[name] ?? expected));
      }
    }
    return columns;
  }
}

/** RFC 7396: the merge patch that turns `before` into `after`. */
export function mergePatch(before, after) {
  const patch = {};
  for (const key of Object.keys(before)) if (!(key in after)) patch[key] = null;
  for (const [key, value] of Object.entries(after)) {
    const old = before[key];
    const bothObjects = (v) => v !== null && typeof v === "object" && !Array.isArray(v);
    if (bothObjects(value) && bothObjects(old)) {
      const inner = mergePatch(old, value);
      if (Object.keys(inner).length > 0) patch[key] = inner;
    } else if (JSON.stringify(old) !== JSON.stringify(value)) {
      patch[key] = value;
    }
  }
  return patch;
}

export function range(from, to) {
  const out = [];
  for (let n = from; n <= to; n++) out.push(n);
  return out;
}
