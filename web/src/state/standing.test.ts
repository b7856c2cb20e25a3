import { expect, test } from "vitest";
import { aggregate, delta, snapshot, TICK, welcome } from "../test/frames";
import type { Aggregate, Notice } from "../wire/types";
import { briefOf, spoken, standingOf } from "./standing";
import { initialState, reduce, type State } from "./state";

const store: Notice = {
  check: "store",
  level: "degraded",
  brief: "MongoDB away, 48 k events wait",
  detail: "store.mongodb.uri: nothing answers",
};
const cluster: Notice = { check: "cluster", level: "degraded", brief: "Redis gone", detail: "" };

function at(state: State, part: Partial<Aggregate>): State {
  const message = { op: "snapshot" as const, ...snapshot(TICK, { aggregate: aggregate(TICK, part) }) };
  return reduce(state, { kind: "feed", event: { kind: "message", message }, nowMs: 0 });
}

const greeted = reduce(initialState("5s"), {
  kind: "feed",
  event: { kind: "message", message: welcome() },
  nowMs: 0,
});

test("one of one is not worth a word, and several are counted", () => {
  expect(standingOf(greeted).instances).toBeUndefined();
  expect(standingOf(at(greeted, {})).instances).toBeUndefined();
  const two = standingOf(at(greeted, { nodes: { reporting: 2, expected: 3 } }));
  expect([two.instances, two.missing]).toEqual(["2 of 3", true]);
  const all = standingOf(at(greeted, { nodes: { reporting: 3, expected: 3 } }));
  expect([all.instances, all.missing]).toEqual(["3 of 3", false]);
});

test("one that lost the others says so in the place where they were counted", () => {
  const several = at(greeted, { nodes: { reporting: 3, expected: 3 } });
  const one = { nodes: { reporting: 1, expected: 1 } };
  expect(standingOf(at(several, { ...one, notices: [cluster] })).instances).toBe("alone");
  expect(standingOf(at(several, one)).instances).toBe("1 of 1");
  expect(standingOf(at(greeted, { ...one, notices: [cluster] })).instances).toBeUndefined();
});

test("notices come, go with a delta, and are not told of a connection that is lost", () => {
  const troubled = at(greeted, { notices: [store] });
  expect(standingOf(troubled).notices).toEqual([store]);
  expect(briefOf(store)).toBe("! MongoDB away, 48 k events wait");
  const paused = reduce(troubled, { kind: "pause" });
  const message = { op: "delta" as const, ...delta(TICK + 1, { notices: null }) };
  const well = reduce(paused, { kind: "feed", event: { kind: "message", message }, nowMs: 0 });
  expect(standingOf(well).notices).toEqual([]);
  const lost = { kind: "lost" as const, attempt: 1, retryAtMs: 0, reason: "" };
  expect(standingOf(reduce(troubled, { kind: "feed", event: lost, nowMs: 0 })).notices).toEqual([]);
});

test("REST brings the same", () => {
  const polled = snapshot(TICK, { aggregate: aggregate(TICK, { notices: [store] }) });
  const event = { kind: "polled" as const, snapshot: polled, everyMs: 2_000, unopened: true };
  expect(standingOf(reduce(greeted, { kind: "feed", event, nowMs: 0 })).notices).toEqual([store]);
});

test("a screen reader hears words, not numbers that count on", () => {
  const missing = { instances: "2 of 3", missing: true };
  const say = (brief: string) => spoken({ ...missing, notices: [{ ...store, brief }] });
  expect(say("MongoDB away, 48 k events wait")).toBe("2 of 3 instances; MongoDB away, events wait");
  expect(say("MongoDB away, 9 events wait")).toBe(say("MongoDB away, 120 M events wait"));
  expect(spoken({ instances: "3 of 3", missing: false, notices: [] })).toBe("");
});
