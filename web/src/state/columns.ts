// History as columns of one length, one entry a tick, without holes in the ticks: entry i is tick `from + i`.
// A tick nobody was up for, or nothing was measured in, is null. Pure: every function answers new columns.

import type { Aggregate, Cell, History } from "../wire/types";

/** Five minutes: what the charts show, and what a snapshot brings. Older entries fall out at the front. */
export const HISTORY_TICKS = 300;

/** `reporting` of `expected` instances are in a tick; both null where the daemon says nothing, which means all. */
export const NUMBERS = [
  "events",
  "activeUsers",
  "errors",
  "p50",
  "p95",
  "p99",
  "reporting",
  "expected",
] as const;
export type NumberColumn = (typeof NUMBERS)[number];

export interface Columns {
  /** Tick of the first entry. */
  from: number;
  length: number;
  numbers: Record<NumberColumn, Cell[]>;
  classes: Record<string, Cell[]>;
}

export const EMPTY: Columns = {
  from: 0,
  length: 0,
  numbers: {
    events: [],
    activeUsers: [],
    errors: [],
    p50: [],
    p95: [],
    p99: [],
    reporting: [],
    expected: [],
  },
  classes: {},
};

export function lastTick(columns: Columns): number {
  return columns.from + columns.length - 1;
}

/** Entry of a tick, or null outside of what is kept. */
export function at(columns: Columns, column: NumberColumn, tick: number): Cell {
  return columns.numbers[column][tick - columns.from] ?? null;
}

/** One row: what the sliding window that ends at `tick` measured. */
export interface Row {
  tick: number;
  numbers: Record<NumberColumn, Cell>;
  classes: Record<string, number>;
}

export function rowOf(aggregate: Aggregate): Row {
  const latency = aggregate.latencyMs;
  return {
    tick: aggregate.tick,
    numbers: {
      events: aggregate.events,
      activeUsers: aggregate.activeUsers,
      errors: aggregate.errors,
      p50: latency?.p50 ?? null,
      p95: latency?.p95 ?? null,
      p99: latency?.p99 ?? null,
      reporting: aggregate.nodes.reporting,
      expected: aggregate.nodes.expected,
    },
    classes: aggregate.statusClasses,
  };
}

function rowsOf(history: History): Row[] {
  return history.tick.map((tick, i) => {
    const classes: Record<string, number> = {};
    for (const [name, cells] of Object.entries(history.statusClasses ?? {})) {
      const cell = cells[i];
      if (cell !== null && cell !== undefined) classes[name] = cell;
    }
    const cell = (column: NumberColumn) => history[column]?.[i] ?? null;
    return {
      tick,
      numbers: {
        events: cell("events"),
        activeUsers: cell("activeUsers"),
        errors: cell("errors"),
        p50: cell("p50"),
        p95: cell("p95"),
        p99: cell("p99"),
        reporting: cell("reporting"),
        expected: cell("expected"),
      },
      classes,
    };
  });
}

/**
 * Writes rows (ascending) over the columns: ticks inside are overwritten, others added, with nulls for those between. A class that a row does not name counts zero there, unless the tick has nothing at all.
 */
function write(columns: Columns, rows: Row[]): Columns {
  const first = rows[0];
  if (!first) return columns;
  const from = columns.length === 0 ? first.tick : Math.min(columns.from, first.tick);
  let last = columns.length === 0 ? first.tick - 1 : lastTick(columns);
  for (const row of rows) last = Math.max(last, row.tick);
  const start = Math.max(from, last - HISTORY_TICKS + 1);
  const length = last - start + 1;

  const stretch = (cells: Cell[]): Cell[] => {
    const out: Cell[] = new Array(length);
    for (let i = 0; i < length; i++) out[i] = cells[start + i - columns.from] ?? null;
    return out;
  };
  const numbers = Object.fromEntries(
    NUMBERS.map((name) => [name, stretch(columns.numbers[name])]),
  ) as Columns["numbers"];
  const classes: Record<string, Cell[]> = {};
  for (const [name, cells] of Object.entries(columns.classes)) classes[name] = stretch(cells);
  for (const row of rows) {
    for (const name of Object.keys(row.classes)) {
      classes[name] ??= numbers.events.map((cell) => (cell === null ? null : 0));
    }
  }
  for (const row of rows) {
    const i = row.tick - start;
    if (i < 0) continue;
    for (const name of NUMBERS) numbers[name][i] = row.numbers[name];
    const measured = row.numbers.events !== null;
    for (const [name, cells] of Object.entries(classes))
      cells[i] = measured ? (row.classes[name] ?? 0) : null;
  }
  return { from: start, length, numbers, classes };
}

/** Adds the newest tick. */
export function append(columns: Columns, row: Row): Columns {
  return write(columns, [row]);
}

/** Adds what a snapshot brings: entries follow on, or, where they do not reach back to ours, replace all. */
export function extend(columns: Columns, history: History): Columns {
  const first = history.tick[0];
  if (first === undefined) return columns;
  const joins = columns.length > 0 && first <= lastTick(columns) + 1;
  return write(joins ? columns : EMPTY, rowsOf(history));
}

/** Overwrites earlier ticks that late events changed; ticks we do not have stay unknown. */
export function correct(columns: Columns, corrections: History): Columns {
  const known = rowsOf(corrections).filter(
    (row) => row.tick >= columns.from && row.tick <= lastTick(columns),
  );
  return write(columns, known);
}

/** Forgets everything after a tick: the daemon's clock, or its data, went back. */
export function truncate(columns: Columns, last: number): Columns {
  if (columns.length === 0 || last >= lastTick(columns)) return columns;
  const length = Math.max(0, last - columns.from + 1);
  if (length === 0) return EMPTY;
  const cut = (cells: Cell[]) => cells.slice(0, length);
  return {
    from: columns.from,
    length,
    numbers: Object.fromEntries(
      NUMBERS.map((name) => [name, cut(columns.numbers[name])]),
    ) as Columns["numbers"],
    classes: Object.fromEntries(Object.entries(columns.classes).map(([name, cells]) => [name, cut(cells)])),
  };
}
