// One room as the page knows it: the newest aggregate and its history. Pure.

import { mergePatch } from "../wire/mergePatch";
import type { Aggregate, Delta, Snapshot } from "../wire/types";
import { append, type Columns, correct, EMPTY, extend, rowOf, truncate } from "./columns";

export interface Room {
  window: string;
  lengthS: number;
  tick: number;
  aggregate: Aggregate;
  history: Columns;
  /** The last time frames were merged because we, or the way to us, were too slow. */
  lagged: { ticks: number; atTick: number } | undefined;
  /** Whether frames are still coming: a room that is no longer watched keeps its picture only. */
  watched: boolean;
}

/** Length of a window in seconds: `5s`, `2m`, `1h`. */
export function lengthOf(window: string): number {
  const match = /^(\d+)([smhd])$/.exec(window);
  if (!match) return 1;
  const unit = { s: 1, m: 60, h: 3_600, d: 86_400 }[match[2] as "s" | "m" | "h" | "d"];
  return Number(match[1]) * unit;
}

/** The room after a snapshot: a first picture, a resume, or what was merged while we lagged. */
export function applySnapshot(room: Room | undefined, snapshot: Snapshot): Room {
  const { aggregate, tick } = snapshot;
  let history = truncate(room?.history ?? EMPTY, tick);
  if (snapshot.history) history = extend(history, snapshot.history);
  if (snapshot.corrections) history = correct(history, snapshot.corrections);
  // History is the same numbers again; a snapshot that came without it still brings its own tick.
  history = append(history, rowOf(aggregate));
  return {
    window: aggregate.window,
    lengthS: lengthOf(aggregate.window),
    tick,
    aggregate,
    history,
    lagged: snapshot.lagged > 0 ? { ticks: snapshot.lagged, atTick: tick } : room?.lagged,
    watched: true,
  };
}

/** Whether a delta continues what we have; otherwise the room must be asked for again. */
export function follows(room: Room | undefined, delta: Delta): room is Room {
  return room !== undefined && room.tick === delta.base;
}

export function applyDelta(room: Room, delta: Delta): Room {
  const aggregate = mergePatch(room.aggregate, delta.aggregate);
  // The frame's own tick is the number's tick, whether or not the patch names it.
  const current = aggregate.tick === delta.tick ? aggregate : { ...aggregate, tick: delta.tick };
  let history = append(room.history, rowOf(current));
  if (delta.corrections) history = correct(history, delta.corrections);
  return { ...room, tick: delta.tick, aggregate: current, history };
}
