// The four charts of the overview: one crosshair, one time axis.

import { Chart } from "../charts/Chart";
import type { ChartSpec } from "../charts/spec";
import { compact, count, latency, rate } from "../state/format";
import type { Room } from "../state/room";
import { BANDS, type Part, type Series, seriesOf } from "../state/series";
import { summary } from "../state/summary";
import type { Cell } from "../wire/types";
import { BAD_RATE, WARN_RATE } from "./Kpis";

const STATUS: ChartSpec = {
  leastTop: 1,
  axis: compact,
  lines: [
    { name: "5xx", token: "bad", width: 0, fill: 0.95, stacked: true },
    { name: "4xx", token: "warn", width: 0, fill: 0.9, stacked: true },
    { name: "none", token: "accent", width: 0, fill: 0.25, stacked: true },
    { name: "3xx", token: "muted", width: 0, fill: 0.5, stacked: true },
    { name: "2xx", token: "ok", width: 0, fill: 0.32, stacked: true },
    { name: "all", token: "accent", width: 1.5 },
  ],
};

const USERS: ChartSpec = {
  leastTop: 5,
  axis: compact,
  lines: [{ name: "users", token: "users", width: 2, fill: 0.16 }],
};

const ERRORS: ChartSpec = {
  leastTop: 2,
  mostTop: 100,
  axis: (value) => `${compact(value)} %`,
  thresholds: [
    { value: WARN_RATE * 100, token: "warn", label: "1 % raised" },
    { value: BAD_RATE * 100, token: "bad", label: "5 % high" },
  ],
  lines: [{ name: "errors", token: "bad", width: 2, fill: 0.14 }],
};

const LATENCY: ChartSpec = {
  leastTop: 10,
  axis: (value) => (value >= 10_000 ? `${compact(value / 1000)} s` : `${compact(value)}`),
  lines: [
    { name: "p50", token: "latency", width: 1, alpha: 0.75 },
    { name: "p95", token: "latency", width: 2, fill: 0.12 },
    { name: "p99", token: "latency", width: 1.25, dash: [4, 3], alpha: 0.9 },
  ],
};

const EMPTY_CELLS: Cell[] = [];
const WHOLE: Part[] = [];
const EMPTY_STATUS: Cell[][] = STATUS.lines.map(() => EMPTY_CELLS);
const EMPTY_LATENCY: Cell[][] = LATENCY.lines.map(() => EMPTY_CELLS);

interface Columns {
  status: { drawn: Cell[][]; said: Cell[][] };
  users: Cell[][];
  errors: Cell[][];
  latency: Cell[][];
}

const EMPTY_COLUMNS: Columns = {
  status: { drawn: EMPTY_STATUS, said: EMPTY_STATUS },
  users: [EMPTY_CELLS],
  errors: [EMPTY_CELLS],
  latency: EMPTY_LATENCY,
};

function columnsOf(series: Series): Columns {
  return {
    status: {
      drawn: [...BANDS.map((name) => series.stacked[name]), series.rate],
      said: [...BANDS.map((name) => series.byClass[name]), series.rate],
    },
    users: [series.users],
    errors: [series.errorRate],
    latency: [series.p50, series.p95, series.p99],
  };
}

const perCent = (value: number) => `${value.toFixed(1)} %`;

interface Props {
  room: Room | undefined;
  /** What the time axes call their end. */
  end: string;
}

/** Six bands share one line: a decimal only where it says something. */
function bandRate(value: number): string {
  return value < 10 ? rate(value) : count(Math.round(value));
}

export function Charts({ room, end }: Props) {
  const series = room && seriesOf(room);
  const columns = series ? columnsOf(series) : EMPTY_COLUMNS;
  const of = room ? room.window : "";
  const tick = room?.tick;
  const parts = series?.parts ?? WHOLE;
  return (
    <>
      <Chart
        title="events/s by status"
        unit={of}
        spec={STATUS}
        drawn={columns.status.drawn}
        said={columns.status.said}
        format={bandRate}
        parts={parts}
        tick={tick}
        end={end}
        summary={summary("events per second", series?.rate ?? EMPTY_CELLS, rate, parts)}
      />
      <Chart
        title="active users"
        unit={of}
        spec={USERS}
        drawn={columns.users}
        format={count}
        parts={parts}
        tick={tick}
        end={end}
        summary={summary("active users", series?.users ?? EMPTY_CELLS, count, parts)}
      />
      <Chart
        title="error rate"
        unit={room ? `%, ${of}` : "%"}
        spec={ERRORS}
        drawn={columns.errors}
        format={perCent}
        parts={parts}
        tick={tick}
        end={end}
        summary={summary("error rate", series?.errorRate ?? EMPTY_CELLS, perCent, parts)}
      />
      <Chart
        title="latency"
        unit={room ? `ms, ${of}` : "ms"}
        spec={LATENCY}
        drawn={columns.latency}
        format={latency}
        parts={parts}
        tick={tick}
        end={end}
        summary={summary("latency, 95th percentile", series?.p95 ?? EMPTY_CELLS, latency, parts)}
      />
    </>
  );
}
