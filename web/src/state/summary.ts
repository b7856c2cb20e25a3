// A chart in one sentence, for those who do not see it.

import type { Cell } from "../wire/types";
import { age, NOTHING } from "./format";
import { extent, type Part, stretchesOf } from "./series";

export function summary(
  what: string,
  cells: Cell[],
  format: (value: number) => string,
  parts: Part[] = [],
  spanS = cells.length,
): string {
  const range = extent(cells);
  if (!range) return `${what}: nothing measured in the last ${age(spanS)}`;
  const last = cells[cells.length - 1];
  const now = last === null || last === undefined ? NOTHING : format(last);
  return `${what}, now ${now}, between ${format(range.min)} and ${format(range.max)} in the last ${age(spanS)}${partly(parts)}`;
}

/** `1 of 3 instances`. */
export function partSaid({ reporting, expected }: NonNullable<Part>): string {
  return `${reporting} of ${expected} instances`;
}

/** For how long somebody's counts are missing, and how few are in at the worst. */
function partly(parts: Part[]): string {
  const stretches = stretchesOf(parts);
  const [first, ...others] = stretches;
  if (!first) return "";
  let { fewest } = first;
  for (const each of others) if (each.fewest.reporting < fewest.reporting) fewest = each.fewest;
  const seconds = stretches.reduce((sum, { from, to }) => sum + to - from + 1, 0);
  const least = parts.every((part) => !part || part.reporting === fewest.reporting) ? "only" : "as few as";
  return `, ${age(seconds)} of it with ${least} ${partSaid(fewest)}`;
}

export interface Change {
  sign: "▲" | "▼" | "=";
  text: string;
}

/** How a number moved since the window before it; undefined where there is nothing to compare with. */
export function change(now: Cell, before: Cell): Change | undefined {
  if (now === null || before === null) return undefined;
  if (now === 0 && before === 0) return undefined;
  if (now === before) return { sign: "=", text: "no change" };
  const sign = now > before ? "▲" : "▼";
  if (before === 0) return { sign, text: "from 0" };
  const share = Math.abs(now / before - 1) * 100;
  return { sign, text: share >= 1_000 ? ">999 %" : `${share.toFixed(1)} %` };
}

/** The same for shares: in percentage points. */
export function changeInPoints(now: Cell, before: Cell): Change | undefined {
  if (now === null || before === null) return undefined;
  const points = now - before;
  if (Math.abs(points) < 0.05) return { sign: "=", text: "no change" };
  return { sign: points > 0 ? "▲" : "▼", text: `${Math.abs(points).toFixed(1)} pp` };
}
