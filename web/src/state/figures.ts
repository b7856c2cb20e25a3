// The daemon's own figures, as its metrics give them, in the rows the System panel shows. Pure.

import { age, compact, count, NOTHING, rate } from "./format";
import type { Standing } from "./standing";

export type Metrics = Record<string, number>;

export interface Reading {
  atMs: number;
  metrics: Metrics;
}

export interface Row {
  name: string;
  value: string;
  /** Whether it is not as it should be itself: a notice about its neighbour leaves it alone. */
  wrong: boolean;
}

export interface Group {
  name: string;
  rows: Row[];
}

/** The last reading, and the one before it, for what is shown as a rate. */
export interface Readings {
  now: Reading;
  before: Reading | undefined;
}

/** A metric, the values of all its labels together; undefined where the daemon has none. */
export function total(metrics: Metrics, name: string): number | undefined {
  let sum: number | undefined;
  for (const [key, value] of Object.entries(metrics))
    if (key === name || key.startsWith(`${name}{`)) sum = (sum ?? 0) + value;
  return sum;
}

/** How much a counter grew a second; undefined before the second reading, and where the daemon started anew. */
export function growth({ now, before }: Readings, name: string): number | undefined {
  if (!before) return undefined;
  const [is, was] = [total(now.metrics, name), total(before.metrics, name)];
  const seconds = (now.atMs - before.atMs) / 1_000;
  if (is === undefined || was === undefined || is < was || seconds <= 0) return undefined;
  return (is - was) / seconds;
}

/** `812 B`, `31.4 MB`, `1.2 GB`. */
export function bytes(value: number): string {
  if (value < 1e3) return `${Math.round(value)} B`;
  if (value < 1e6) return `${Math.round(value / 1e3)} kB`;
  return value < 1e9 ? `${(value / 1e6).toFixed(1)} MB` : `${(value / 1e9).toFixed(1)} GB`;
}

/** `0.4 ms`, `84 ms`, `12.5 s`, `5m12s`. */
export function seconds(value: number): string {
  if (value === 0) return "0 s";
  if (value < 0.00995) return `${(value * 1e3).toFixed(1)} ms`;
  if (value < 0.9995) return `${Math.round(value * 1e3)} ms`;
  return value < 59.95 ? `${value.toFixed(1)} s` : age(value);
}

/** From here on what waits is late: less is how a store that is well works. */
const LATE_S = 5;
/** With less than this share of it free, a notice about the journal is about the disk. */
const DISK_FREE = 0.05;

const perSecond = (value: number | undefined) => (value === undefined ? NOTHING : `${rate(value)}/s`);

/** All groups there are. A figure this daemon does not have is left out. */
export function groupsOf(readings: Readings, { instances, missing, notices }: Standing): Group[] {
  const { metrics } = readings.now;
  const value = (name: string) => total(metrics, `pulseboard_${name}`);
  const grows = (name: string) => growth(readings, `pulseboard_${name}`);
  const has = (name: string) => value(name) !== undefined;
  const shown = (name: string, write: (value: number) => string) => {
    const found = value(name);
    return found === undefined ? undefined : write(found);
  };
  const grown = (name: string) => (has(name) ? perSecond(grows(name)) : undefined);

  function timed(name: string): string | undefined {
    if (!has(`${name}_count`)) return undefined;
    const times = grows(`${name}_count`);
    if (times === undefined) return NOTHING;
    if (times === 0) return "none just now";
    return `${seconds((grows(`${name}_sum`) ?? 0) / times)} on average, ${perSecond(times)}`;
  }

  function lag(): string | undefined {
    const size = shown("store_lag_bytes", bytes);
    return shown(
      "store_lag_events",
      (events) => `${count(events)} ${events === 1 ? "event" : "events"}${size ? `, ${size}` : ""}`,
    );
  }

  function journal(): string | undefined {
    const events = shown("journal_events", count) ?? NOTHING;
    return shown("journal_bytes", (size) => `${bytes(size)}, ${events} events`);
  }

  /** `12 wait, up to 0.8 s`. */
  function unwritten(): string | undefined {
    const oldest = shown("store_unwritten_seconds", seconds);
    return shown(
      "store_unwritten_aggregates",
      (waiting) => `${count(waiting)} wait${waiting > 0 && oldest ? `, up to ${oldest}` : ""}`,
    );
  }

  /** How many ids a second had one of these outcomes. */
  function outcomes(...names: string[]): string | undefined {
    const all = names.map((name) => `claims_total{outcome="${name}"}`);
    if (!all.every(has)) return undefined;
    const rates = all.map(grows);
    return perSecond(
      rates.reduce((sum, each) => (sum === undefined || each === undefined ? undefined : sum + each)),
    );
  }

  /** What this instance claimed for itself. */
  function claimed(): string | undefined {
    const rate = outcomes("ours");
    const times = grows("claims_seconds_count");
    if (!rate || !times) return rate;
    return `${rate}, ${seconds((grows("claims_seconds_sum") ?? 0) / times)} on average`;
  }

  /** What others had claimed: the first are to be sent again, the others are duplicates. */
  function elsewhere(): string | undefined {
    const [pending, taken] = [outcomes("pending"), outcomes("taken", "lost")];
    return pending && taken && `${pending} pending, ${taken} taken`;
  }

  /** What was accepted while Redis was away or full. */
  function unclaimed(): string | undefined {
    const rate = outcomes("away", "full");
    return rate && shown("claims_unconfirmed", (left) => `${rate}, ${count(left)} to be claimed`);
  }

  function held(): string | undefined {
    const horizon = shown("claims_horizon_seconds", age);
    return horizon && shown("claims_held", (ids) => `${count(ids)}, new ones for ${horizon}`);
  }

  const noticed = (about: string) => notices.some(({ check }) => check === about);
  const over = (name: string, limit: number) => (value(name) ?? 0) > limit;

  const cores = grows("cpu_seconds_total");
  const rows = (...all: [string, string | undefined, boolean?][]): Row[] =>
    all.flatMap(([name, value, wrong = false]) => (value === undefined ? [] : [{ name, value, wrong }]));
  const waitsLong = (name: string) => noticed("store") && over(name, LATE_S);
  const late = waitsLong("store_lag_seconds");
  const apart = noticed("cluster") && value("cluster_up") === 0;
  const diskFull = (value("disk_free_bytes") ?? 0) < DISK_FREE * (value("disk_size_bytes") ?? 0);
  const several = instances !== undefined;
  // The embedded store writes neither batches nor aggregates anywhere.
  const shared = over("store_lag_bytes_max", 0);
  const groups: Group[] = [
    {
      name: "store",
      rows: rows(
        ["to be stored", lag(), late],
        ["oldest waits", shown("store_lag_seconds", seconds), late],
        ["aggregates", shared ? unwritten() : undefined, waitsLong("store_unwritten_seconds")],
        ["batches", shared ? timed("store_write_seconds") : undefined],
        ["queries", timed("store_query_seconds")],
      ),
    },
    {
      name: "instances",
      rows: rows(
        ["in the numbers", instances, missing && noticed("cluster")],
        [
          "Redis",
          several ? shown("cluster_up", (up) => (up > 0 ? "joined" : "not joined")) : undefined,
          apart,
        ],
        ["ticks heard", several ? grown("cluster_ticks_received_total") : undefined],
      ),
    },
    {
      name: "ids",
      rows: several
        ? rows(
            ["claimed", claimed()],
            ["elsewhere", elsewhere()],
            ["not claimed", unclaimed(), apart],
            ["taken twice", shown("claims_conflicts_total", (ids) => `${count(ids)} so far`)],
            ["held in Redis", held()],
          )
        : [],
    },
    {
      name: "events in",
      rows: rows(
        ["accepted", grown("events_accepted_total")],
        ["duplicates", grown("events_duplicate_total")],
        ["refused", grown("events_rejected_total")],
        ["acknowledged", timed("ingest_ack_seconds")],
      ),
    },
    {
      name: "journal",
      rows: rows(
        ["on disk", journal(), noticed("journal") && !diskFull],
        ["syncs", timed("journal_sync_seconds")],
        ["disk free", shown("disk_free_bytes", bytes), noticed("journal") && diskFull],
      ),
    },
    {
      name: "process",
      rows: rows(
        ["memory", shown("resident_memory_bytes", bytes)],
        ["processor", cores === undefined ? undefined : `${compact(Math.round(cores * 100))} % of a core`],
        ["sockets", shown("sockets", count)],
        ["up for", shown("uptime_seconds", age)],
      ),
    },
  ];
  return groups.filter((group) => group.rows.length > 0);
}
