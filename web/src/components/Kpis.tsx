// The four numbers: big, with unit and window, how they moved since the window before, and a small history.

import type { ReactNode } from "react";
import type { Token } from "../charts/palette";
import { Spark } from "../charts/Spark";
import { at } from "../state/columns";
import { count, latency, latencyNumber, latencyUnit, NOTHING, percent, rate } from "../state/format";
import type { Room } from "../state/room";
import { type Part, type Series, seriesOf } from "../state/series";
import { type Change, change, changeInPoints } from "../state/summary";
import type { Cell } from "../wire/types";

export interface Kpi {
  key: string;
  label: string;
  value: string;
  unit: string;
  /** A word that goes with a colour: an error rate that needs someone. */
  alarm: "" | "warn" | "bad";
  change: Change | undefined;
  token: Token;
  cells: Cell[];
  /** Where somebody's counts are missing in them. */
  parts: Part[];
  leastTop: number;
  mostTop?: number;
  /** A value of `cells` with its unit. */
  format: (value: number) => string;
}

const NO_CELLS: Cell[] = [];
const WHOLE: Part[] = [];

/** Where an error rate starts to need someone, and where it needs them now. */
export const WARN_RATE = 0.01;
export const BAD_RATE = 0.05;

export function alarmOf(errorRate: number | undefined): Kpi["alarm"] {
  if (errorRate === undefined || errorRate < WARN_RATE) return "";
  return errorRate < BAD_RATE ? "warn" : "bad";
}

export function kpisOf(room: Room | undefined): Kpi[] {
  const aggregate = room?.aggregate;
  const series: Series | undefined = room && seriesOf(room);
  const before = (cells: Cell[] | undefined): Cell =>
    cells?.[cells.length - 1 - (room?.lengthS ?? 0)] ?? null;
  const parts = series?.parts ?? WHOLE;
  const p95 = aggregate?.latencyMs?.p95;
  return [
    {
      key: "rate",
      label: "events/s",
      value: aggregate ? rate(aggregate.eventsPerSecond) : NOTHING,
      unit: "/s",
      alarm: "",
      change: change(aggregate?.eventsPerSecond ?? null, before(series?.rate)),
      token: "accent",
      cells: series?.rate ?? NO_CELLS,
      parts,
      leastTop: 1,
      format: rate,
    },
    {
      key: "users",
      label: "active users",
      value: aggregate ? count(aggregate.activeUsers) : NOTHING,
      unit: "",
      alarm: "",
      change: change(
        aggregate?.activeUsers ?? null,
        room ? at(room.history, "activeUsers", room.tick - room.lengthS) : null,
      ),
      token: "users",
      cells: series?.users ?? NO_CELLS,
      parts,
      leastTop: 5,
      format: count,
    },
    {
      key: "errors",
      label: "error rate",
      value: aggregate?.errorRate === undefined ? NOTHING : percent(aggregate.errorRate).replace(/\s%$/, ""),
      unit: "%",
      alarm: alarmOf(aggregate?.errorRate),
      change: changeInPoints(
        aggregate?.errorRate === undefined ? null : aggregate.errorRate * 100,
        before(series?.errorRate),
      ),
      token: "bad",
      cells: series?.errorRate ?? NO_CELLS,
      parts,
      leastTop: 2,
      mostTop: 100,
      format: (value) => percent(value / 100),
    },
    {
      key: "latency",
      label: "p95 latency",
      value: p95 === undefined ? NOTHING : latencyNumber(p95),
      unit: latencyUnit(p95),
      alarm: "",
      change: change(p95 ?? null, before(series?.p95)),
      token: "latency",
      cells: series?.p95 ?? NO_CELLS,
      parts,
      leastTop: 10,
      format: latency,
    },
  ];
}

export function Kpis({ room }: { room: Room | undefined }) {
  return (
    <section className="kpis" aria-label="Now">
      {kpisOf(room).map((kpi) => (
        <Tile key={kpi.key} kpi={kpi} window={room?.window}>
          {kpi.cells.length > 0 && (
            <Spark
              cells={kpi.cells}
              parts={kpi.parts}
              token={kpi.token}
              leastTop={kpi.leastTop}
              mostTop={kpi.mostTop}
            />
          )}
        </Tile>
      ))}
    </section>
  );
}

function Tile({ kpi, window, children }: { kpi: Kpi; window: string | undefined; children: ReactNode }) {
  return (
    <article className="card kpi">
      <h2>
        {kpi.label} <span className="unit">{window && `last ${window}`}</span>
      </h2>
      <p className={`big ${kpi.alarm}`}>
        {kpi.value}
        <small>{kpi.unit}</small>
        {kpi.alarm && <em>{kpi.alarm === "bad" ? "high" : "raised"}</em>}
      </p>
      <p className="change">
        {kpi.change ? (
          <>
            <b>
              {kpi.change.sign} {kpi.change.text}
            </b>{" "}
            <span>vs the {window} before</span>
          </>
        ) : (
          NOTHING
        )}
      </p>
      <div className="spark">{children}</div>
    </article>
  );
}
