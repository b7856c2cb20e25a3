// The overview: bar, four numbers, four charts, routes, status classes, demo traffic.

import { Charts } from "../components/Charts";
import { DemoLocked } from "../components/DemoLocked";
import { DemoPanel } from "../components/DemoPanel";
import { Denied } from "../components/Denied";
import { FirstRun } from "../components/FirstRun";
import { Kpis } from "../components/Kpis";
import { NoMatch } from "../components/NoMatch";
import { Routes } from "../components/Routes";
import { StatusClasses } from "../components/StatusClasses";
import { SubBar } from "../components/SubBar";
import { TopBar } from "../components/TopBar";
import { mayWrite, usesTokens } from "../state/access";
import { useDashboard } from "../state/hooks";
import { endName, hasEvents, shownRoom } from "../state/state";
import { statusOf } from "../state/status";

interface Props {
  origin: string;
  onHelp: () => void;
  onToken: () => void;
  onNoSocket: () => void;
  onSystem: () => void;
  onWall: () => void;
}

export function Overview({ origin, onHelp, onToken, onNoSocket, onSystem, onWall }: Props) {
  const state = useDashboard();
  const room = shownRoom(state);
  const { stale } = statusOf(state, 0);
  const writes = mayWrite(state);
  const { connection } = state;
  const quiet = connection.kind !== "denied" && room?.watched && !hasEvents(room);

  return (
    <div className="page">
      <TopBar onHelp={onHelp} onToken={onToken} onWall={onWall} />
      <SubBar onToken={onToken} onNoSocket={onNoSocket} onSystem={onSystem} />
      <main className={`overview${stale ? " stale" : ""}`} data-tick={room?.tick}>
        <Kpis room={room} />
        <div className="charts">
          <Charts room={room} end={endName(state)} />
          {connection.kind === "denied" && !connection.asks && (
            <Denied code={connection.code} detail={connection.detail} />
          )}
          {quiet && state.filter !== "" && <NoMatch filter={state.filter} />}
          {quiet && state.filter === "" && (
            <FirstRun origin={origin} mayWrite={writes} tokens={usesTokens(state)} />
          )}
        </div>
        <div className="lower">
          <Routes room={room} />
          <div className="side">
            <StatusClasses room={room} />
            {writes && <DemoPanel />}
            {!writes && room && usesTokens(state) && <DemoLocked onToken={onToken} />}
          </div>
        </div>
      </main>
      <footer className="keysline" aria-hidden="true">
        <span>
          <kbd>1</kbd> <kbd>2</kbd> <kbd>3</kbd> window
        </span>
        <span>
          <kbd>space</kbd> pause
        </span>
        <span>
          <kbd>/</kbd> filter
        </span>
        <span>
          <kbd>s</kbd> system
        </span>
        <span>
          <kbd>t</kbd> theme
        </span>
        {usesTokens(state) && (
          <span>
            <kbd>a</kbd> access
          </span>
        )}
        <span>
          <kbd>?</kbd> help
        </span>
      </footer>
    </div>
  );
}
