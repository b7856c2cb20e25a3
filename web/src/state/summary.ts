// A chart in one sentence, for those who do not see it.

import type { Cell } from "../wire/types";
import { age, NOTHING } from "./format";
import { extent } from "./series";

export function summary(
  what: string,
  cells: Cell[],
  format: (value: number) => string,
  spanS = cells.length,
): string {
  const range = extent(cells);
  if (!range) return `${what}: nothing measured in the last ${age(spanS)}`;
  const last = cells[cells.length - 1];
  const now = last === null || last === undefined ? NOTHING : format(last);
  return `${what}, now ${now}, between ${format(range.min)} and ${format(range.max)} in the last ${age(spanS)}`;
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
