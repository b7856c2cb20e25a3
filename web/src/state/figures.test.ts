import { expect, test } from "vitest";
import { bytes, groupsOf, growth, seconds, total } from "./figures";
import type { Standing } from "./standing";

const standing: Standing = { instances: "2 of 3", missing: true, notices: [] };

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
  expect(groupsOf({ now, before }, { ...standing, notices: [...notices, notice("cluster")] })).toEqual([
    {
      name: "store",
      rows: [
        { name: "to be stored", value: "48,210 events, 31.4 MB", wrong: false },
        { name: "queries", value: "10 ms on average, 1.0/s", wrong: false },
      ],
    },
    { name: "instances", rows: [{ name: "in the numbers", value: "2 of 3", wrong: true }] },
  ]);
});

/** The rows of a group, `!` before those that are not as they should be. */
function rowsOf(name: string, metrics: Record<string, number>, part: Partial<Standing> = {}) {
  const before = { atMs: 0, metrics };
  const grown = Object.entries(metrics).map(([key, value]) => [
    key,
    key.includes("total") ? value + 20 : value,
  ]);
  const now = { atMs: 2_000, metrics: Object.fromEntries(grown) };
  const all = groupsOf({ now, before }, { ...standing, ...part });
  const rows = all.find((group) => group.name === name)?.rows ?? [];
  return rows.map((row) => `${row.wrong ? "! " : ""}${row.name}: ${row.value}`);
}
const notice = (check: string) => ({ check, level: "degraded" as const, brief: "", detail: "" });

test("a row is marked for what is wrong with itself, not with its neighbour", () => {
  const notices = [notice("cluster")];
  const up = { pulseboard_cluster_up: 1 };
  expect(rowsOf("instances", up, { notices })).toEqual(["! in the numbers: 2 of 3", "Redis: joined"]);
  const whole = { instances: "3 of 3", missing: false, notices };
  expect(rowsOf("instances", up, whole)).toEqual(["in the numbers: 3 of 3", "Redis: joined"]);
  const gone = { pulseboard_cluster_up: 0 };
  expect(rowsOf("instances", gone, whole)).toEqual(["in the numbers: 3 of 3", "! Redis: not joined"]);

  const store = { notices: [notice("store")] };
  const events = { pulseboard_store_lag_events: 90, pulseboard_store_lag_bytes_max: 1e9 };
  const few = { ...events, pulseboard_store_lag_seconds: 0.4 };
  expect(rowsOf("store", few, store)).toEqual(["to be stored: 90 events", "oldest waits: 400 ms"]);
  const late = { ...events, pulseboard_store_lag_seconds: 40 };
  expect(rowsOf("store", late, store)).toEqual(["! to be stored: 90 events", "! oldest waits: 40.0 s"]);

  const disk = { pulseboard_disk_free_bytes: 1e9, pulseboard_disk_size_bytes: 1e11 };
  expect(rowsOf("journal", disk, { notices: [notice("journal")] })).toEqual(["! disk free: 1.0 GB"]);
  expect(rowsOf("journal", disk)).toEqual(["disk free: 1.0 GB"]);
});

test("aggregates wait for MongoDB, and where there is none there is no row of them", () => {
  const waiting = { pulseboard_store_unwritten_aggregates: 12, pulseboard_store_unwritten_seconds: 0.8 };
  const shared = { ...waiting, pulseboard_store_lag_bytes_max: 1e9 };
  expect(rowsOf("store", shared)).toEqual(["aggregates: 12 wait, up to 800 ms"]);
  const none = { ...shared, pulseboard_store_unwritten_aggregates: 0 };
  expect(rowsOf("store", none)).toEqual(["aggregates: 0 wait"]);
  expect(rowsOf("store", { ...waiting, pulseboard_store_lag_bytes_max: 0 })).toEqual([]);
});

test("what becomes of ids is told where there are several instances", () => {
  const names = ["ours", "pending", "taken", "lost", "away", "full"];
  const metrics = {
    ...Object.fromEntries(names.map((each) => [`pulseboard_claims_total{outcome="${each}"}`, 100])),
    pulseboard_cluster_up: 0,
    pulseboard_claims_unconfirmed: 48_210,
    pulseboard_claims_conflicts_total: 3,
    pulseboard_claims_held: 90_000,
    pulseboard_claims_horizon_seconds: 86_400,
  };
  expect(rowsOf("ids", metrics, { notices: [notice("cluster")] })).toEqual([
    "claimed: 10.0/s",
    "elsewhere: 10.0/s pending, 20.0/s taken",
    "! not claimed: 20.0/s, 48,210 to be claimed",
    "taken twice: 23 so far",
    "held in Redis: 90,000, new ones for 24h00m",
  ]);
  expect(rowsOf("ids", metrics, { instances: undefined })).toEqual([]);
});

test("figures read well", () => {
  expect([812, 31_400, 31_400_000, 1.24e9].map(bytes)).toEqual(["812 B", "31 kB", "31.4 MB", "1.2 GB"]);
  expect([0, 0.00042, 0.084, 12.5, 312].map(seconds)).toEqual(["0 s", "0.4 ms", "84 ms", "12.5 s", "5m12s"]);
});
