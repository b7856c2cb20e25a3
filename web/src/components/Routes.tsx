// The busiest routes of the window, the rest as one row, and how much of all each takes.

import { useLayoutEffect, useRef } from "react";
import { latency, NOTHING, percent, rate } from "../state/format";
import type { Room } from "../state/room";
import { alarmOf } from "./Kpis";
import { Narrows } from "./Narrows";

interface Row {
  key: string;
  name: string;
  perSecond: number;
  share: number;
  errorRate: number | undefined;
  p95: number | undefined;
  rest?: boolean;
}

function rowsOf({ aggregate, lengthS }: Room): Row[] {
  const all = Math.max(1, aggregate.events);
  const rows: Row[] = aggregate.topRoutes.map((row) => ({
    key: `/${row.route}`,
    name: row.route,
    perSecond: row.events / lengthS,
    share: row.events / all,
    errorRate: row.errorRate,
    p95: row.p95,
  }));
  const { otherRoutes } = aggregate;
  if (otherRoutes.events > 0) {
    rows.push({
      key: "rest",
      name: `other (${otherRoutes.routes})`,
      perSecond: otherRoutes.events / lengthS,
      share: otherRoutes.events / all,
      errorRate: otherRoutes.errors / otherRoutes.events,
      p95: undefined,
      rest: true,
    });
  }
  return rows;
}

/** A row that is moved takes the focus along: a browser takes it from what is moved. */
function useFocusKept<T extends HTMLElement>() {
  const own = useRef<T>(null);
  const { activeElement } = document;
  useLayoutEffect(() => {
    if (!(activeElement instanceof HTMLElement) || document.activeElement === activeElement) return;
    if (activeElement.isConnected && own.current?.contains(activeElement))
      activeElement.focus({ preventScroll: true });
  });
  return own;
}

export function Routes({ room }: { room: Room | undefined }) {
  const rows = room ? rowsOf(room) : [];
  const table = useFocusKept<HTMLTableElement>();
  return (
    <section className="card routes" aria-labelledby="routes-title">
      <h2 id="routes-title">
        top routes <span className="unit">{room && `last ${room.window}`}</span>
      </h2>
      <table ref={table}>
        <thead>
          <tr>
            <th scope="col">route</th>
            <th scope="col" className="number">
              events/s
            </th>
            <th scope="col" className="share">
              share
            </th>
            <th scope="col" className="number errors">
              errors
            </th>
            <th scope="col" className="number">
              p95
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <RouteRow key={row.key} row={row} />
          ))}
        </tbody>
      </table>
    </section>
  );
}

function RouteRow({ row }: { row: Row }) {
  const alarm = alarmOf(row.errorRate);
  return (
    <tr className={row.rest ? "rest" : undefined}>
      <th scope="row" title={row.name}>
        {row.rest ? (
          row.name
        ) : (
          <Narrows field="route" value={row.name}>
            {row.name}
          </Narrows>
        )}
      </th>
      <td className="number">{rate(row.perSecond)}</td>
      <td className="share">
        <span className="bar">
          <i style={{ width: `${row.share * 100}%` }} />
        </span>
        <span>{percent(row.share)}</span>
      </td>
      <td className={`number errors ${alarm}`}>
        {percent(row.errorRate)}
        <b>{alarm === "bad" ? "!!" : alarm === "warn" ? "!" : ""}</b>
      </td>
      <td className="number">{row.rest ? NOTHING : latency(row.p95)}</td>
    </tr>
  );
}
