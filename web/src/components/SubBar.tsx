// The quiet line under the bar: who answers, for how many, what came late; or what is wrong and what happens next.

import { count } from "../state/format";
import { useDashboard, useNow, useSession } from "../state/hooks";
import type { Room } from "../state/room";
import { type Connection, isCurrent, isDevMode, shownRoom } from "../state/state";
import { statusOf } from "../state/status";

export function SubBar() {
  const state = useDashboard();
  const session = useSession();
  const now = useNow(!isCurrent(state));
  const room = shownRoom(state);
  const trouble = state.notice ?? troubleOf(state.connection);
  const { detail } = statusOf(state, now);
  const retries = state.connection.kind === "reconnecting" || state.connection.kind === "polling";

  return (
    <div className={`subbar${trouble ? " troubled" : ""}${detail ? " detailed" : ""}`}>
      <p className={trouble ? "trouble" : undefined}>
        {/* A narrow bar above has no room for the state's detail: there it stands here, before anything else. */}
        <span className="narrow">{detail}</span>
        {trouble ? (
          <span className="wide">{trouble}</span>
        ) : (
          room && <Facts node={state.welcome?.node} room={room} />
        )}
        {retries && (
          <button type="button" className="link" onClick={session.retryNow}>
            try now
          </button>
        )}
      </p>
      {isDevMode(state) && (
        <span className="badge" title="No key is configured: everyone on this machine may read and write.">
          dev mode
        </span>
      )}
    </div>
  );
}

function troubleOf(connection: Connection): string | undefined {
  if (connection.kind === "reconnecting") return `${connection.reason}; charts resume where they stopped`;
  if (connection.kind === "polling")
    return "no socket to the daemon: watching and sending over REST until there is one";
  return undefined;
}

function Facts({ node, room }: { node: string | undefined; room: Room }) {
  const { nodes, late, skewed } = room.aggregate;
  return (
    <span className="wide facts">
      {node !== undefined && <span>{node}</span>}
      <span>
        {nodes.reporting} of {nodes.expected} {nodes.expected === 1 ? "node" : "nodes"}
      </span>
      <span title="events in this window that came more than a minute after their time">
        late {count(late)}
      </span>
      <span title="events in this window from clocks ahead of the daemon's">skewed {count(skewed)}</span>
    </span>
  );
}
