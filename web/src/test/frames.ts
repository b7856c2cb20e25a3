// Aggregates, snapshots and deltas for tests, as small as the contract allows.

import type { Aggregate, Cell, Delta, History, Snapshot, Welcome } from "../wire/types";

export const TICK = 1_763_884_800;

export function aggregate(tick: number, part: Partial<Aggregate> = {}): Aggregate {
  return {
    window: "5s",
    tick,
    from: (tick - 4) * 1000,
    to: (tick + 1) * 1000,
    events: 0,
    eventsPerSecond: 0,
    activeUsers: 0,
    activeSessions: 0,
    errors: 0,
    statusClasses: {},
    types: {},
    topRoutes: [],
    otherRoutes: { routes: 0, events: 0, errors: 0 },
    late: 0,
    skewed: 0,
    behindMs: 0,
    nodes: { reporting: 1, expected: 1 },
    ...part,
  };
}

/** History from `first` on, one entry a value of `events`; null is a tick nobody was up for. */
export function history(first: number, events: Cell[], classes: Record<string, Cell[]> = {}): History {
  return {
    tick: events.map((_, i) => first + i),
    events,
    activeUsers: events.map((cell) => (cell === null ? null : 1)),
    errors: events.map((cell) => (cell === null ? null : 0)),
    statusClasses: classes,
    p50: events.map(() => null),
    p95: events.map(() => null),
    p99: events.map(() => null),
  };
}

export function snapshot(tick: number, part: Partial<Snapshot> = {}): Snapshot {
  return { room: "window:5s", tick, aggregate: aggregate(tick), lagged: 0, ...part };
}

export function delta(tick: number, patch: Record<string, unknown>, part: Partial<Delta> = {}): Delta {
  return { room: "window:5s", tick, base: tick - 1, aggregate: { tick, ...patch }, ...part };
}

export function welcome(part: Partial<Welcome> = {}): { op: "welcome" } & Welcome {
  return {
    op: "welcome",
    protocol: 1,
    node: "n",
    tick: TICK,
    windows: ["1s", "5s", "60s"],
    auth: "dev",
    scope: "read ingest admin",
    limits: { publishBytes: 1_048_576, rooms: 32 },
    ...part,
  };
}

/** A token that reads well; its signature is nobody's. */
export function token(claims: Record<string, unknown> = {}): string {
  const part = (value: object) =>
    btoa(JSON.stringify(value)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "");
  const payload = { sub: "ops", scope: "read", exp: TICK + 3_600, ...claims };
  return `${part({ alg: "HS256", typ: "JWT" })}.${part(payload)}.c2lnbmF0dXJl`;
}
