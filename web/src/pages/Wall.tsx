// The wall board: four numbers and their charts, to be read across a room. It has no controls; it dims when what it
// shows is no longer now.

import { useEffect } from "react";
import { Spark } from "../charts/Spark";
import { AccessLine } from "../components/AccessLine";
import { type Kpi, kpisOf } from "../components/Kpis";
import { Instances, Notices } from "../components/Notices";
import { Said } from "../components/Said";
import { StatusLine } from "../components/TopBar";
import { clock } from "../state/format";
import { useDashboard } from "../state/hooks";
import { extent } from "../state/series";
import { shownRoom } from "../state/state";
import { statusOf } from "../state/status";

/** Keeps the screen on while the board is up, where the browser may. */
function keepAwake(): () => void {
  let lock: WakeLockSentinel | undefined;
  let over = false;
  const ask = () => {
    if (document.visibilityState !== "visible") return;
    navigator.wakeLock?.request("screen").then(
      (granted) => {
        // It may come when the board is down again.
        if (over) void granted.release();
        else lock = granted;
      },
      () => {
        // Refused on battery or without a secure context: the board stands without it.
      },
    );
  };
  ask();
  document.addEventListener("visibilitychange", ask);
  return () => {
    over = true;
    document.removeEventListener("visibilitychange", ask);
    void lock?.release();
  };
}

/** Lowest and highest of the charted minutes, in the number's own unit. */
function rangeOf({ cells, format }: Kpi): string {
  const range = extent(cells);
  return range ? `${format(range.min)} to ${format(range.max)}` : "";
}

export function Wall({ onLeave, onToken }: { onLeave: () => void; onToken: () => void }) {
  const state = useDashboard();
  const room = shownRoom(state);
  const { stale } = statusOf(state, 0);
  useEffect(keepAwake, []);
  return (
    <main className={`wall${stale ? " stale" : ""}`}>
      <header>
        <h1>
          pulseboard
          {state.filter !== "" && <span className="unit">{state.filter}</span>}
        </h1>
        <StatusLine />
        <Instances />
        <Notices />
        <Said />
        <AccessLine onToken={onToken} />
        <button type="button" className="link leave" onClick={onLeave}>
          leave the wall board (esc)
        </button>
      </header>
      {kpisOf(room).map((kpi) => (
        <article className="card" key={kpi.key}>
          <h2>
            {kpi.label} {room && <span className="unit">last {room.window}</span>}
          </h2>
          <p className={`huge ${kpi.alarm} t-${kpi.token}`}>
            {kpi.value}
            <small>{kpi.unit === "/s" ? "" : kpi.unit}</small>
            {kpi.alarm && <em>{kpi.alarm === "bad" ? "high" : "raised"}</em>}
          </p>
          <div className="spark">
            {kpi.cells.length > 0 && (
              <Spark
                cells={kpi.cells}
                parts={kpi.parts}
                token={kpi.token}
                leastTop={kpi.leastTop}
                mostTop={kpi.mostTop}
                width={3}
              />
            )}
          </div>
          <p className="span">
            <span>5 minutes ago</span>
            <span>{rangeOf(kpi)}</span>
            <span>{room ? clock(room.tick) : ""}</span>
          </p>
        </article>
      ))}
    </main>
  );
}
