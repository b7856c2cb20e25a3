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
  /** Whether a notice is about it. */
  noticed: boolean;
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

const perSecond = (value: number | undefined) => (value === undefined ? NOTHING : `${rate(value)}/s`);

/** All groups there are. A figure this daemon does not have is left out. */
export function groupsOf(readings: Readings, { instances, notices }: Standing): Group[] {
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

  const redis = () => shown("cluster_up", (up) => (up === 1 ? "answers" : "gone"));

  const cores = grows("cpu_seconds_total");
  const rows = (...all: [string, string | undefined, string?][]): Row[] =>
    all.flatMap(([name, value, about]) =>
      value === undefined
        ? []
        : [{ name, value, noticed: about !== undefined && notices.some(({ check }) => check === about) }],
    );
  const groups: Group[] = [
    {
      name: "store",
      rows: rows(
        ["to be stored", lag(), "store"],
        ["oldest waits", shown("store_lag_seconds", seconds), "store"],
        // The embedded store takes no batches.
        ["batches", value("store_write_seconds_count") === 0 ? undefined : timed("store_write_seconds")],
        ["queries", timed("store_query_seconds")],
      ),
    },
    {
      name: "instances",
      rows: rows(
        ["in the numbers", instances, "cluster"],
        ["Redis", instances === undefined ? undefined : redis(), "cluster"],
        ["ticks heard", instances === undefined ? undefined : grown("cluster_ticks_received_total")],
      ),
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
        ["on disk", journal(), "journal"],
        ["syncs", timed("journal_sync_seconds")],
        ["disk free", shown("disk_free_bytes", bytes), "journal"],
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
