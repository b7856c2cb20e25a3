// The state of the picture in words: one line for the bar, and which light goes with it. Pure.

import { endsSoonS, isAsking } from "./access";
import { denialOf } from "./denials";
import { age, clock } from "./format";
import { isCurrent, recentLag, type State, shownRoom } from "./state";

export type Light = "live" | "paused" | "late" | "lost" | "denied";

export interface Status {
  light: Light;
  /** The state's name, and what goes with it. */
  word: string;
  detail: string;
  /** Whether the picture is older than it should be. */
  stale: boolean;
}

const plural = (n: number, what: string) => `${n} ${what}${n === 1 ? "" : "s"}`;

export function statusOf(state: State, nowMs: number): Status {
  const room = shownRoom(state);
  const { connection } = state;
  const seen = room && state.heardAtMs !== undefined ? `last seen ${clock(room.tick)}` : "nothing seen yet";
  const old =
    room && state.heardAtMs !== undefined ? `${seen}, ${age((nowMs - state.heardAtMs) / 1000)} ago` : seen;

  if (state.frozen) {
    const newest = Math.max(...Object.values(state.rooms).map((each) => each.tick));
    const behind = isCurrent(state) ? `${age(newest - state.frozen.tick)} behind` : `${connection.kind}`;
    return {
      light: "paused",
      word: `paused ${clock(state.frozen.tick)}`,
      detail: `(${behind})`,
      stale: false,
    };
  }
  switch (connection.kind) {
    case "connecting":
      return { light: "lost", word: "connecting", detail: "", stale: room !== undefined };
    case "denied": {
      if (!connection.asks)
        return { light: "denied", word: "not allowed", detail: connection.code, stale: true };
      const word = connection.code === "token_expired" ? "token ended" : "token needed";
      return { light: "lost", word, detail: room ? old : "", stale: true };
    }
    case "reconnecting": {
      const wait = Math.max(0, Math.ceil((connection.retryAtMs - nowMs) / 1000));
      const next = wait > 0 ? `in ${wait} s` : "now";
      return {
        light: "lost",
        word: `reconnecting ${next}`,
        detail: `(attempt ${connection.attempt}), ${old}`,
        stale: true,
      };
    }
    case "polling": {
      const { slowedUntilMs, everyMs } = connection;
      const word = room ? `polling ${clock(room.tick)}` : "polling";
      if (slowedUntilMs === undefined)
        return {
          light: "late",
          word,
          detail: `every ${Math.round(everyMs / 1000)} s over REST`,
          stale: false,
        };
      const wait = Math.max(0, Math.ceil((slowedUntilMs - nowMs) / 1000));
      return { light: "late", word, detail: `slowed by the daemon's limit, next in ${wait} s`, stale: false };
    }
    case "live": {
      if (!room) return { light: "live", word: "live", detail: "", stale: false };
      const lag = recentLag(room);
      const { behindMs } = room.aggregate;
      const live = { word: `live ${clock(room.tick)}`, stale: !room.watched };
      if (lag > 0) return { ...live, light: "late", detail: `lagging, ${plural(lag, "tick")} merged` };
      if (behindMs > 0)
        return { ...live, light: "late", detail: `counting ${(behindMs / 1000).toFixed(1)} s behind` };
      return { ...live, light: "live", detail: "" };
    }
  }
}

/** What a screen reader is told of it: without times, so that it is told when the state changes and not every second. */
export function saidOf(state: State): string {
  const ends = endsSoonS(state) === undefined ? "" : ", the token soon ends";
  const notice = state.notice === undefined ? "" : `; ${state.notice}`;
  return `${stateSaid(state)}${ends}${notice}`;
}

function stateSaid(state: State): string {
  const { connection } = state;
  if (state.frozen) return "paused";
  if (isAsking(state)) return connection.kind === "denied" ? denialOf(connection.code, true).title : "";
  switch (connection.kind) {
    case "denied":
      return denialOf(connection.code, false).title;
    case "polling":
      return connection.slowedUntilMs === undefined
        ? "polling every few seconds, no socket to the daemon"
        : "polling, slowed by the daemon's limit";
    case "live":
      return statusOf(state, 0).light === "late" ? "live, running late" : "live";
    default:
      return connection.kind;
  }
}
