// Where a chart's numbers lack somebody's counts: hatched behind the lines, with a bar along the upper edge and, where
// it fits, the words. Neither needs a colour to be seen.

import type uPlot from "uplot";
import { type Part, type Stretch, stretchesOf, X } from "../state/series";
import { partSaid } from "../state/summary";
import { color } from "./palette";

/** CSS pixels. */
const HATCH = 6;
const BAR = 3;
const LEAST = 3;

type Draw = (u: uPlot) => void;

/** Left and right end in pixels of the canvas: half a tick to either side, and never too narrow to be seen. */
function ends(u: uPlot, { from, to }: Stretch): [number, number] {
  const { left, width } = u.bbox;
  const at = (x: number) => Math.min(left + width, Math.max(left, u.valToPos(x, "x", true)));
  const start = at((X[from] ?? 0) - 0.5);
  const end = at((X[to] ?? 0) + 0.5);
  const lacking = Math.max(0, LEAST * devicePixelRatio - (end - start));
  return [Math.max(left, start - lacking), end];
}

function hatch(u: uPlot, start: number, end: number): void {
  const { ctx, bbox } = u;
  const step = HATCH * devicePixelRatio;
  ctx.save();
  ctx.beginPath();
  ctx.rect(start, bbox.top, end - start, bbox.height);
  ctx.clip();
  ctx.fillStyle = color("muted", 0.1);
  ctx.fillRect(start, bbox.top, end - start, bbox.height);
  ctx.lineWidth = devicePixelRatio;
  ctx.strokeStyle = color("muted", 0.6);
  ctx.setLineDash([]);
  ctx.beginPath();
  // The same lines wherever a stretch begins: they move with it and never against it.
  for (let x = start - bbox.height; x < end; x += step) {
    ctx.moveTo(x, bbox.top + bbox.height);
    ctx.lineTo(x + bbox.height, bbox.top);
  }
  ctx.stroke();
  ctx.restore();
}

function bar(u: uPlot, start: number, end: number, words: string): void {
  const { ctx, bbox } = u;
  const px = devicePixelRatio;
  ctx.save();
  ctx.fillStyle = color("muted");
  ctx.fillRect(start, bbox.top, end - start, BAR * px);
  if (words) {
    ctx.font = `${12 * px}px system-ui, sans-serif`;
    if (ctx.measureText(words).width + 8 * px <= end - start) {
      ctx.textAlign = "right";
      ctx.textBaseline = "top";
      const [x, y] = [end - 4 * px, bbox.top + (BAR + 2) * px];
      ctx.lineJoin = "round";
      ctx.lineWidth = 4 * px;
      ctx.strokeStyle = color("surface");
      ctx.strokeText(words, x, y);
      ctx.fillStyle = color("text");
      ctx.fillText(words, x, y);
    }
  }
  ctx.restore();
}

/** Drawn before and after the lines; `parts` is asked each time. */
export function partHooks(parts: () => Part[], worded: boolean): { drawClear: Draw[]; draw: Draw[] } {
  const each = (u: uPlot, draw: (start: number, end: number, stretch: Stretch) => void) => {
    for (const stretch of stretchesOf(parts())) draw(...ends(u, stretch), stretch);
  };
  return {
    drawClear: [(u) => each(u, (start, end) => hatch(u, start, end))],
    draw: [(u) => each(u, (start, end, { fewest }) => bar(u, start, end, worded ? partSaid(fewest) : ""))],
  };
}
