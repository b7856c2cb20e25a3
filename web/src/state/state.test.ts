import { expect, test } from "vitest";
import { aggregate, delta, history, snapshot, TICK } from "../test/frames";
import type { FeedEvent } from "../wire/feed";
import type { ServerMessage } from "../wire/types";
import {
  type Action,
  endName,
  hasEvents,
  initialState,
  recentLag,
  reduce,
  type State,
  shownRoom,
} from "./state";
import { statusOf } from "./status";

const NOW = (TICK + 1) * 1000 + 250;

function run(state: State, ...actions: Action[]): State {
  return actions.reduce(reduce, state);
}

const heard = (message: ServerMessage, nowMs = NOW): Action => ({
  kind: "feed",
  event: { kind: "message", message },
  nowMs,
});
const fed = (event: FeedEvent): Action => ({ kind: "feed", event, nowMs: NOW });

const first = heard({
  op: "snapshot",
  ...snapshot(TICK, {
    aggregate: aggregate(TICK, { events: 10, eventsPerSecond: 2, statusClasses: { "2xx": 10 } }),
    history: history(TICK - 2, [8, 9, 10], { "2xx": [8, 9, 10] }),
  }),
});
const next = (tick: number, patch: Record<string, unknown>) => heard({ op: "delta", ...delta(tick, patch) });

const start = initialState("5s");

test("the first snapshot paints the whole picture", () => {
  const state = run(start, first);
  expect(state.connection.kind).toBe("live");
  expect(shownRoom(state)?.history.numbers.events).toEqual([8, 9, 10]);
});

test("a delta patches the aggregate and moves the history by one tick", () => {
  const room = shownRoom(run(start, first, next(TICK + 1, { events: 12, statusClasses: { "5xx": 2 } })));
  expect(room?.aggregate.events).toBe(12);
  expect(room?.aggregate.statusClasses).toEqual({ "2xx": 10, "5xx": 2 });
  expect(room?.history.numbers.events).toEqual([8, 9, 10, 12]);
  expect(room?.history.classes["5xx"]).toEqual([0, 0, 0, 2]);
});

test("a field gone by patch has no value", () => {
  const with95 = next(TICK + 1, { latencyMs: { count: 1, p50: 1, p95: 2, p99: 3, max: 3 } });
  const room = shownRoom(run(start, first, with95, next(TICK + 2, { latencyMs: null })));
  expect(room?.aggregate.latencyMs).toBeUndefined();
  expect(room?.history.numbers.p95).toEqual([null, null, null, 2, null]);
});

test("a delta that does not continue ours changes nothing", () => {
  const before = run(start, first);
  expect(run(before, next(TICK + 2, { events: 99 }))).toBe(before);
});

test("corrections in a delta mend earlier ticks", () => {
  const late = heard({
    op: "delta",
    ...delta(TICK + 1, { events: 11 }, { corrections: history(TICK - 1, [15, 16]) }),
  });
  expect(shownRoom(run(start, first, late))?.history.numbers.events).toEqual([8, 15, 16, 11]);
});

test("a resume after a loss leaves no hole, and its corrections reach before it", () => {
  const resumed = heard({
    op: "snapshot",
    ...snapshot(TICK + 3, {
      aggregate: aggregate(TICK + 3, { events: 13 }),
      history: history(TICK + 1, [11, null, 13]),
      historyFrom: TICK + 1,
      corrections: history(TICK - 1, [19]),
    }),
  });
  const state = run(start, first, fed({ kind: "lost", attempt: 1, retryAtMs: NOW, reason: "gone" }), resumed);
  expect(shownRoom(state)?.history.numbers.events).toEqual([8, 19, 10, 11, null, 13]);
  expect(state.connection.kind).toBe("live");
});

test("a lag is said for some seconds and then no more", () => {
  const lagged = heard({
    op: "snapshot",
    ...snapshot(TICK + 3, { lagged: 3, history: history(TICK + 1, [1, 2, 3]) }),
  });
  let state = run(start, first, lagged);
  expect(statusOf(state, NOW).detail).toBe("lagging, 3 ticks merged");
  for (let tick = TICK + 4; tick < TICK + 14; tick++) state = run(state, next(tick, {}));
  const room = shownRoom(state);
  expect(room && recentLag(room)).toBe(0);
  expect(statusOf(state, NOW).detail).toBe("");
});

test("counting that is behind is said", () => {
  const state = run(start, first, next(TICK + 1, { behindMs: 1_250 }));
  expect(statusOf(state, NOW).detail).toBe("counting 1.3 s behind");
});

test("pause holds the picture while the present goes on", () => {
  const paused = run(
    start,
    first,
    { kind: "pause" },
    next(TICK + 1, { events: 12 }),
    next(TICK + 2, { events: 13 }),
  );
  expect(shownRoom(paused)?.aggregate.events).toBe(10);
  expect(statusOf(paused, NOW).detail).toBe("(2s behind)");
  const resumed = run(paused, { kind: "resume" });
  expect(shownRoom(resumed)?.aggregate.events).toBe(13);
  expect(shownRoom(resumed)?.history.numbers.events).toEqual([8, 9, 10, 12, 13]);
});

test("a held moment is shown in another window, with the history that led to it", () => {
  const minute = (tick: number, events: number) => aggregate(tick, { window: "60s", events });
  const state = run(
    start,
    first,
    { kind: "pause" },
    { kind: "view", window: "60s", filter: "" },
    {
      kind: "rewound",
      snapshot: snapshot(TICK, { room: "window:60s", aggregate: minute(TICK, 60) }),
      newest: snapshot(TICK + 2, {
        room: "window:60s",
        aggregate: minute(TICK + 2, 62),
        history: history(TICK - 1, [59, 60, 61, 62]),
      }),
    },
  );
  expect(shownRoom(state)?.tick).toBe(TICK);
  expect(shownRoom(state)?.window).toBe("60s");
  expect(shownRoom(state)?.history.numbers.events).toEqual([59, 60]);
});

test("pause does nothing while there is no picture", () => {
  expect(run(start, { kind: "pause" })).toBe(start);
});

test("another window keeps the old picture, marked old, until its own comes", () => {
  const state = run(start, first, { kind: "view", window: "60s", filter: "" });
  expect(shownRoom(state)?.window).toBe("5s");
  expect(statusOf(state, NOW).stale).toBe(true);
  const minute = aggregate(TICK, { window: "60s", events: 100 });
  const arrived = run(
    state,
    heard({ op: "snapshot", ...snapshot(TICK, { room: "window:60s", aggregate: minute }) }),
  );
  expect(shownRoom(arrived)?.aggregate.events).toBe(100);
  expect(statusOf(arrived, NOW).stale).toBe(false);
});

test("a lost connection says attempt, wait and age", () => {
  const lost = run(start, first, fed({ kind: "lost", attempt: 3, retryAtMs: NOW + 2_000, reason: "gone" }));
  const status = statusOf(lost, NOW + 500);
  expect(status.word).toBe("reconnecting in 2 s");
  expect(status.detail).toMatch(/^\(attempt 3\), last seen \d\d:\d\d:\d\d, 1s ago$/);
  expect(status.stale).toBe(true);
  expect(endName(lost)).toMatch(/^\d\d:\d\d:\d\d$/);
});

test("polling moves the picture and says so", () => {
  const polled = snapshot(TICK + 2, {
    aggregate: aggregate(TICK + 2, { events: 7 }),
    history: history(TICK + 1, [6, 7]),
  });
  const state = run(start, first, fed({ kind: "polled", snapshot: polled, everyMs: 2_000, unopened: true }));
  expect(shownRoom(state)?.history.numbers.events).toEqual([8, 9, 10, 6, 7]);
  expect(statusOf(state, NOW).detail).toBe("every 2 s over REST");
  expect(endName(state)).toBe("now");
});

test("a stream that never had an event is a first run", () => {
  const empty = heard({ op: "snapshot", ...snapshot(TICK, { history: history(TICK - 1, [0, 0]) }) });
  const room = shownRoom(run(start, empty));
  expect(room && hasEvents(room)).toBe(false);
  const full = shownRoom(run(start, first));
  expect(full && hasEvents(full)).toBe(true);
});

test("a daemon whose clock went back is followed", () => {
  const back = heard({
    op: "snapshot",
    ...snapshot(TICK - 1, { aggregate: aggregate(TICK - 1, { events: 5 }) }),
  });
  const room = shownRoom(run(start, first, back));
  expect(room?.tick).toBe(TICK - 1);
  expect(room?.history.numbers.events).toEqual([8, 5]);
});

test("another filter keeps the picture, dimmed, until its own has come, and then no other's", () => {
  const filter = "route=/checkout";
  const waiting = run(start, first, { kind: "view", window: "5s", filter });
  expect(shownRoom(waiting)?.aggregate.events).toBe(10);
  expect(statusOf(waiting, NOW).stale).toBe(true);
  const late = run(waiting, heard({ op: "snapshot", ...snapshot(TICK + 1) }));
  expect(Object.keys(late.rooms)).toEqual(["window:5s"]);
  expect(shownRoom(late)?.tick).toBe(TICK);
  const room = `window:5s?filter=${filter}`;
  const own = aggregate(TICK + 1, { events: 3 });
  const come = run(waiting, heard({ op: "snapshot", ...snapshot(TICK + 1, { room, aggregate: own }) }));
  expect(Object.keys(come.rooms)).toEqual([room]);
  expect(shownRoom(come)?.aggregate.events).toBe(3);
  expect(statusOf(come, NOW).stale).toBe(false);
});
