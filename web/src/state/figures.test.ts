import { expect, test } from "vitest";
import { bytes, groupsOf, growth, seconds, total } from "./figures";

const standing = { instances: "2 of 3", missing: true, notices: [] };

test("labels are added up, and longer names are other metrics", () => {
  const metrics = { n: 1, n_more: 50, 'n{of="a"}': 2, 'n{of="b"}': 3 };
  expect([total(metrics, "n"), total(metrics, "m")]).toEqual([6, undefined]);
});

test("a rate is of the time between two readings, and of one daemon", () => {
  const before = { atMs: 1_000, metrics: { a_total: 100 } };
  const now = { atMs: 3_000, metrics: { a_total: 150 } };
  expect(growth({ now, before }, "a_total")).toBe(25);
  expect(growth({ now, before: undefined }, "a_total")).toBeUndefined();
  expect(growth({ now: { atMs: 5_000, metrics: { a_total: 3 } }, before: now }, "a_total")).toBeUndefined();
});

test("rows are those of the figures there are", () => {
  const metrics = {
    pulseboard_store_lag_events: 48_210,
    pulseboard_store_lag_bytes: 31_400_000,
    pulseboard_store_query_seconds_sum: 1,
    pulseboard_store_query_seconds_count: 10,
  };
  const before = { atMs: 0, metrics };
  const now = {
    atMs: 2_000,
    metrics: {
      ...metrics,
      pulseboard_store_query_seconds_sum: 1.02,
      pulseboard_store_query_seconds_count: 12,
    },
  };
  const notices = [{ check: "store", level: "degraded" as const, brief: "", detail: "" }];
  expect(groupsOf({ now, before }, { ...standing, notices })).toEqual([
    {
      name: "store",
      rows: [
        { name: "to be stored", value: "48,210 events, 31.4 MB", noticed: true },
        { name: "queries", value: "10 ms on average, 1.0/s", noticed: false },
      ],
    },
    { name: "instances", rows: [{ name: "in the numbers", value: "2 of 3", noticed: false }] },
  ]);
});

test("figures read well", () => {
  expect([812, 31_400, 31_400_000, 1.24e9].map(bytes)).toEqual(["812 B", "31 kB", "31.4 MB", "1.2 GB"]);
  expect([0, 0.00042, 0.084, 12.5, 312].map(seconds)).toEqual(["0 s", "0.4 ms", "84 ms", "12.5 s", "5m12s"]);
});
