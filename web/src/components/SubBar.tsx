// The quiet line under the bar: who answers, for how many, what came late; or what is wrong and what happens next.

import { endsSoonS, isAsking, isDevMode } from "../state/access";
import { count } from "../state/format";
import { useDashboard, useNow, useSession } from "../state/hooks";
import type { Room } from "../state/room";
import { standingOf } from "../state/standing";
import { type Connection, isCurrent, isSlowed, shownRoom } from "../state/state";
import { statusOf } from "../state/status";
import { AccessLine } from "./AccessLine";
import { Instances, Notices } from "./Notices";
import { HOME, Passing } from "./Passing";

interface Props {
  onToken: () => void;
  onNoSocket: () => void;
  onSystem: () => void;
}

export function SubBar({ onToken, onNoSocket, onSystem }: Props) {
  const state = useDashboard();
  const session = useSession();
  const now = useNow(!isCurrent(state) || isSlowed(state));
  const room = shownRoom(state);
  const { connection } = state;
  const trouble = state.notice ?? troubleOf(connection);
  const { detail } = statusOf(state, now);
  const retries = connection.kind === "reconnecting" || connection.kind === "polling";
  const aboutToken = isAsking(state) || endsSoonS(state) !== undefined;
  const { notices } = standingOf(state);
  const marks = [
    ...(notices.length > 0 ? ["noticed"] : []),
    ...(notices.some(({ level }) => level === "failed") ? ["failed"] : []),
    ...(trouble || isAsking(state) ? ["troubled"] : []),
    ...(detail ? ["detailed"] : []),
    ...(aboutToken ? ["tokened"] : []),
  ];

  return (
    <div className={["subbar", ...marks].join(" ")}>
      <p className={trouble ? "trouble" : undefined}>
        {/* A narrow bar above has no room for the state's detail: there it stands here, before anything else. */}
        {detail && <span className="narrow">{detail}</span>}
        <AccessLine onToken={onToken} />
        {trouble ? (
          <span className="wide">{trouble}</span>
        ) : (
          room && <Facts node={state.welcome?.node} room={room} />
        )}
        {connection.kind === "polling" && connection.unopened && (
          <Passing home={HOME.system} className="link" onClick={onNoSocket}>
            why?
          </Passing>
        )}
        {retries && (
          <Passing home={HOME.system} className="link" onClick={session.retryNow}>
            try now
          </Passing>
        )}
      </p>
      <span className="side-end">
        <Notices onSystem={onSystem} />
        <button
          type="button"
          id={HOME.system}
          className="link"
          onClick={onSystem}
          title="notices and figures (s)"
        >
          system
        </button>
        {isDevMode(state) && (
          <span className="badge" title="No key is configured: everyone on this machine may read and write.">
            dev mode
          </span>
        )}
      </span>
    </div>
  );
}

function troubleOf(connection: Connection): string | undefined {
  if (connection.kind === "reconnecting") return `${connection.reason}; charts resume where they stopped`;
  if (connection.kind === "polling")
    return connection.slowedUntilMs === undefined
      ? "no socket to the daemon: watching and sending over REST until there is one"
      : "the daemon's limit of calls a minute is used up: polling goes slower for a while";
  return undefined;
}

function Facts({ node, room }: { node: string | undefined; room: Room }) {
  const { late, skewed } = room.aggregate;
  return (
    <span className="wide facts">
      {node !== undefined && <span>{node}</span>}
      <Instances />
      <span title="events in this window that came more than a minute after their time">
        late {count(late)}
      </span>
      <span title="events in this window from clocks ahead of the daemon's">skewed {count(skewed)}</span>
    </span>
  );
}
