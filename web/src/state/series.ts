// What the charts draw, computed once for each new history, whoever asks first. All charts share one x axis:
// seconds before the newest tick, -299 to 0, so that axes and crosshair stay put while the data moves.

import type { Cell } from "../wire/types";
import { type Columns, HISTORY_TICKS } from "./columns";
import type { Room } from "./room";

export const X: number[] = Array.from({ length: HISTORY_TICKS }, (_, i) => i - HISTORY_TICKS + 1);

/** Status classes, best first. `none` is what carries no status at all. */
export const CLASSES = ["2xx", "3xx", "none", "4xx", "5xx"] as const;
/** Bands of the status chart from the bottom up: failures stand on the floor, where their height can be read. */
export const BANDS = [...CLASSES].reverse();
export type StatusClass = (typeof CLASSES)[number];

export interface Series {
  /** Events a second in all. */
  rate: Cell[];
  /** Events a second of each class. */
  byClass: Record<StatusClass, Cell[]>;
  /** The same, each on top of those below it. */
  stacked: Record<StatusClass, Cell[]>;
  users: Cell[];
  /** Per cent, 0..100. */
  errorRate: Cell[];
  p50: Cell[];
  p95: Cell[];
  p99: Cell[];
  /** Where somebody's counts are missing, and how many are in; null where all are. */
  parts: Part[];
}

/** So many of the instances are in a tick's numbers, and not all. */
export type Part = { reporting: number; expected: number } | null;

const computed = new WeakMap<object, Series>();

export function seriesOf(room: Room): Series {
  const known = computed.get(room.history);
  if (known) return known;
  const series = compute(room);
  computed.set(room.history, series);
  return series;
}

function compute({ history, lengthS }: Room): Series {
  const pad = HISTORY_TICKS - history.length;
  const align = (cells: Cell[] | undefined, f: (value: number, i: number) => Cell): Cell[] => {
    const out: Cell[] = new Array(HISTORY_TICKS).fill(null);
    if (!cells) return out;
    for (let i = 0; i < history.length; i++) {
      const value = cells[i];
      if (value !== null && value !== undefined) out[pad + i] = f(value, i);
    }
    return out;
  };
  const { numbers, classes } = history;
  const same = (value: number): Cell => value;

  const byClass = {} as Series["byClass"];
  for (const name of CLASSES) {
    if (name !== "none") byClass[name] = align(classes[name], (value) => value / lengthS);
  }
  // Every event is in one band: what no band claims (no status, or 1xx) is its own.
  byClass.none = align(numbers.events, (events, i) => {
    let rest = events;
    for (const name of CLASSES) if (name !== "none") rest -= classes[name]?.[i] ?? 0;
    return Math.max(0, rest) / lengthS;
  });

  const stacked = {} as Series["stacked"];
  let below: Cell[] | undefined;
  for (const name of BANDS) {
    const band: Cell[] = align(
      numbers.events,
      (_, i) => (byClass[name][pad + i] ?? 0) + (below?.[pad + i] ?? 0),
    );
    stacked[name] = band;
    below = band;
  }

  return {
    rate: align(numbers.events, (events) => events / lengthS),
    byClass,
    stacked,
    users: align(numbers.activeUsers, same),
    errorRate: align(numbers.errors, (errors, i) => {
      const events = numbers.events[i] ?? 0;
      return events > 0 ? (errors / events) * 100 : null;
    }),
    p50: align(numbers.p50, same),
    p95: align(numbers.p95, same),
    p99: align(numbers.p99, same),
    parts: partsOf(history),
  };
}

function partsOf({ numbers, length }: Columns): Part[] {
  const parts: Part[] = new Array(HISTORY_TICKS).fill(null);
  for (let i = 0; i < length; i++) {
    const reporting = numbers.reporting[i];
    const expected = numbers.expected[i];
    // Nothing measured leaves a gap in the line, which says it already.
    if (typeof reporting !== "number" || typeof expected !== "number" || reporting >= expected) continue;
    if (numbers.events[i] === null) continue;
    parts[HISTORY_TICKS - length + i] = { reporting, expected };
  }
  return parts;
}

/** Entries in a row that lack somebody: from the first to the last, the fewest of them. */
export interface Stretch {
  from: number;
  to: number;
  fewest: NonNullable<Part>;
}

export function stretchesOf(parts: Part[]): Stretch[] {
  const stretches: Stretch[] = [];
  let open: Stretch | undefined;
  parts.forEach((part, i) => {
    if (!part) open = undefined;
    else if (!open) {
      open = { from: i, to: i, fewest: part };
      stretches.push(open);
    } else {
      open.to = i;
      if (part.reporting < open.fewest.reporting) open.fewest = part;
    }
  });
  return stretches;
}

/** Lowest and highest of what was measured, or undefined where nothing was. */
export function extent(cells: Cell[]): { min: number; max: number } | undefined {
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  for (const cell of cells) {
    if (cell === null) continue;
    if (cell < min) min = cell;
    if (cell > max) max = cell;
  }
  return max >= min ? { min, max } : undefined;
}
