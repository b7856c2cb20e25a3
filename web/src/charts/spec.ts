// What a chart is, as plain data, and the uPlot options that follow from it. Options are built once a chart; from
// then on only data moves.

import type uPlot from "uplot";
import { HISTORY_TICKS } from "../state/columns";
import type { Part } from "../state/series";
import { setCrosshair } from "./crosshair";
import { color, type Token } from "./palette";
import { partHooks } from "./parts";
import { nextTop } from "./scale";

export interface LineSpec {
  name: string;
  token: Token;
  /** Line width in CSS pixels; 0 draws none. */
  width: number;
  dash?: number[];
  /** Opacity of the line, 1 by default. */
  alpha?: number;
  /** Opacity of the area below, down to the line before it in a stack, else to zero. */
  fill?: number;
  stacked?: boolean;
}

export interface Threshold {
  value: number;
  token: Token;
  label: string;
}

export interface ChartSpec {
  lines: LineSpec[];
  /** The least the scale's top may be. */
  leastTop: number;
  /** The most it may be, for what cannot be more. */
  mostTop?: number | undefined;
  axis: (value: number) => string;
  thresholds?: Threshold[];
}

const FONT = '12px system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';
const SYNC_KEY = "pulseboard";
const LEFT_AXIS_PX = 52;
const RIGHT_PX = 32;

function seriesOf(lines: LineSpec[]): uPlot.Series[] {
  return lines.map((line) => ({
    label: line.name,
    width: line.width,
    ...(line.width > 0 ? { stroke: () => color(line.token, line.alpha) } : {}),
    ...(line.dash ? { dash: line.dash } : {}),
    ...(line.fill ? { fill: () => color(line.token, line.fill) } : {}),
    points: { show: false },
    spanGaps: false,
  }));
}

/** Stacked lines are filled down to the one before them. */
function bandsOf(lines: LineSpec[]): uPlot.Band[] {
  const bands: uPlot.Band[] = [];
  lines.forEach((line, i) => {
    if (i > 0 && line.stacked && lines[i - 1]?.stacked) bands.push({ series: [i + 1, i] });
  });
  return bands;
}

function topScale(least: number, most?: number): uPlot.Scale {
  let top = 0;
  return {
    range: (_u, _min, max) => {
      top = nextTop(top, Number.isFinite(max) ? max : 0, least, most);
      return [0, top];
    },
  };
}

/** Dashed lines across the plot, each with its meaning in words above it, or below where there is no room. */
function drawThresholds(thresholds: Threshold[]): (u: uPlot) => void {
  return (u) => {
    const { ctx, bbox } = u;
    const px = devicePixelRatio;
    ctx.save();
    ctx.font = `${12 * px}px system-ui, sans-serif`;
    ctx.textAlign = "left";
    for (const { value, token, label } of thresholds) {
      const y = Math.round(u.valToPos(value, "y", true)) + 0.5;
      if (y < bbox.top) continue;
      const x = bbox.left + 8 * px;
      const above = y - bbox.top > 16 * px;
      const baseline = above ? y - 2 * px : y + 3 * px;
      ctx.lineWidth = px;
      ctx.strokeStyle = color(token);
      ctx.setLineDash([4 * px, 4 * px]);
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(bbox.left + bbox.width, y);
      ctx.stroke();
      // Data may pass behind the words: they stand on a rim of the card's colour.
      ctx.setLineDash([]);
      ctx.textBaseline = above ? "bottom" : "top";
      ctx.lineWidth = 4 * px;
      ctx.strokeStyle = color("surface");
      ctx.strokeText(label, x, baseline);
      ctx.fillStyle = color(token);
      ctx.fillText(label, x, baseline);
    }
    ctx.restore();
  };
}

export type Size = { width: number; height: number };

/** What a chart has to say in words that move with the data. */
export interface Names {
  /** The newest tick: `now`, or a time. */
  end: () => string;
  /** The time of an entry, and who is missing in it. */
  at: (entry: number) => string;
  /** Where somebody's counts are missing. */
  parts: () => Part[];
}

/** The time under the crosshair, on the axis. */
function timeLabel(at: Names["at"]): Pick<uPlot.Hooks.Arrays, "init" | "setCursor"> {
  const label = document.createElement("div");
  label.className = "time";
  return {
    init: [(u) => u.over.append(label)],
    setCursor: [
      (u) => {
        const { idx, left } = u.cursor;
        const shown = idx !== null && idx !== undefined && left !== undefined && left >= 0;
        label.hidden = !shown;
        if (!shown) return;
        label.textContent = at(idx);
        // Its middle stands under the crosshair, and its ends inside of the chart, a little past the plot.
        const half = label.offsetWidth / 2;
        const last = u.over.clientWidth + RIGHT_PX - half;
        label.style.left = `${Math.max(half - LEFT_AXIS_PX, Math.min(left, last))}px`;
      },
      (u) => setCrosshair(u.cursor.idx ?? undefined),
    ],
  };
}

/** Options of a full chart with axes and the shared crosshair. */
export function chartOptions(spec: ChartSpec, size: Size, names: Names): uPlot.Options {
  const partial = partHooks(names.parts, true);
  const hairline = { stroke: () => color("hairline"), width: 1 };
  return {
    ...size,
    padding: [8, RIGHT_PX, 0, 0],
    legend: { show: false },
    scales: { x: { time: false, range: [-HISTORY_TICKS, 0] }, y: topScale(spec.leastTop, spec.mostTop) },
    series: [{}, ...seriesOf(spec.lines)],
    bands: bandsOf(spec.lines),
    axes: [
      {
        font: FONT,
        size: 24,
        gap: 4,
        stroke: () => color("muted"),
        grid: { show: false },
        ticks: { show: false },
        border: { show: true, ...hairline },
        splits: [-300, -240, -180, -120, -60, 0],
        values: (_u, splits) => splits.map((at) => (at === 0 ? names.end() : `-${-at / 60}m`)),
      },
      {
        font: FONT,
        size: LEFT_AXIS_PX,
        gap: 8,
        stroke: () => color("muted"),
        grid: hairline,
        ticks: { show: false },
        splits: (_u, _axis, min, max) => [min, (min + max) / 2, max],
        values: (_u, splits) => splits.map(spec.axis),
      },
    ],
    cursor: {
      y: false,
      drag: { x: false, y: false, setScale: false },
      sync: { key: SYNC_KEY, setSeries: false },
      points: { size: 7, width: 2, fill: () => color("surface") },
    },
    hooks: {
      ...timeLabel(names.at),
      drawClear: partial.drawClear,
      draw: [...(spec.thresholds ? [drawThresholds(spec.thresholds)] : []), ...partial.draw],
    },
  };
}

/** Between what the top of a scale stays. */
export type Tops = { leastTop: number; mostTop?: number | undefined };

/** Options of a small history beside a number: no axes, no crosshair. */
export function sparkOptions(
  token: Token,
  tops: Tops,
  width: number,
  size: Size,
  parts: () => Part[],
): uPlot.Options {
  return {
    ...size,
    padding: [2, 2, 2, 2],
    legend: { show: false },
    cursor: { show: false },
    scales: { x: { time: false, range: [-HISTORY_TICKS, 0] }, y: topScale(tops.leastTop, tops.mostTop) },
    axes: [{ show: false }, { show: false }],
    series: [{}, ...seriesOf([{ name: "", token, width, fill: 0.14 }])],
    hooks: partHooks(parts, false),
  };
}
