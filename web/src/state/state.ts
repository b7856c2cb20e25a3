// Everything the page shows, and the one function that changes it. No I/O, no clock: what happened, and when, comes
// in with the action.

import type { FeedEvent } from "../wire/feed";
import { windowOf } from "../wire/rooms";
import type { Snapshot, Welcome } from "../wire/types";
import { clock } from "./format";
import { applyDelta, applySnapshot, follows, type Room } from "./room";

export type Connection =
  | { kind: "connecting"; attempt: number }
  | { kind: "live" }
  | { kind: "reconnecting"; attempt: number; retryAtMs: number; reason: string }
  | { kind: "polling"; attempt: number; retryAtMs: number }
  | { kind: "denied"; code: string; detail: string };

export interface State {
  connection: Connection;
  welcome: Pick<Welcome, "node" | "windows" | "auth" | "scope" | "limits"> | undefined;
  /** The window chosen; its room may still be on its way. */
  window: string;
  rooms: Record<string, Room>;
  /** The picture held by pause. */
  frozen: Room | undefined;
  /** When the newest frame came, in Unix ms. */
  heardAtMs: number | undefined;
  /** Why a rewound picture could not be had, said once. */
  notice: string | undefined;
}

export type Action =
  | { kind: "feed"; event: FeedEvent; nowMs: number }
  | { kind: "window"; window: string }
  | { kind: "pause" }
  | { kind: "resume"; notice?: string }
  /** The picture of the held moment in another window, and the newest, whose history leads up to it. */
  | { kind: "rewound"; snapshot: Snapshot; newest: Snapshot };

export const DEFAULT_WINDOWS = ["1s", "5s", "60s"];
export const DEFAULT_WINDOW = "5s";

export function initialState(window: string): State {
  return {
    connection: { kind: "connecting", attempt: 0 },
    welcome: undefined,
    window,
    rooms: {},
    frozen: undefined,
    heardAtMs: undefined,
    notice: undefined,
  };
}

export function reduce(state: State, action: Action): State {
  switch (action.kind) {
    case "feed":
      return feed(state, action.event, action.nowMs);
    case "window":
      return {
        ...state,
        window: action.window,
        notice: undefined,
        rooms: watchOnly(state.rooms, action.window),
      };
    case "pause": {
      const room = state.rooms[state.window];
      return room ? { ...state, frozen: room, notice: undefined } : state;
    }
    case "resume":
      return { ...state, frozen: undefined, notice: action.notice };
    case "rewound":
      if (!state.frozen) return state;
      return { ...state, frozen: applySnapshot(applySnapshot(undefined, action.newest), action.snapshot) };
  }
}

/** Rooms other than the chosen one get no more frames. */
function watchOnly(rooms: State["rooms"], window: string): State["rooms"] {
  return Object.fromEntries(
    Object.entries(rooms).map(([name, room]) => [
      name,
      name === window || !room.watched ? room : { ...room, watched: false },
    ]),
  );
}

function feed(state: State, event: FeedEvent, nowMs: number): State {
  switch (event.kind) {
    case "connecting":
      // Attempts after the first are part of reconnecting or polling: the words on screen stay put.
      return event.attempt === 0 ? { ...state, connection: { kind: "connecting", attempt: 0 } } : state;
    case "lost": {
      const { attempt, retryAtMs, reason } = event;
      return { ...state, connection: { kind: "reconnecting", attempt, retryAtMs, reason } };
    }
    case "denied":
      return { ...state, connection: { kind: "denied", code: event.code, detail: event.detail } };
    case "polled": {
      const { attempt, retryAtMs } = event;
      const next = withSnapshot(state, event.snapshot, nowMs);
      return { ...next, connection: { kind: "polling", attempt, retryAtMs } };
    }
    case "message":
      return message(state, event.message, nowMs);
  }
}

function message(
  state: State,
  received: Extract<FeedEvent, { kind: "message" }>["message"],
  nowMs: number,
): State {
  switch (received.op) {
    case "welcome": {
      const { node, windows, auth, scope, limits } = received;
      return { ...state, welcome: { node, windows, auth, scope, limits } };
    }
    case "snapshot":
      return { ...withSnapshot(state, received, nowMs), connection: { kind: "live" } };
    case "delta": {
      const window = windowOf(received.room);
      const room = state.rooms[window];
      if (!follows(room, received)) return state;
      return { ...state, heardAtMs: nowMs, rooms: { ...state.rooms, [window]: applyDelta(room, received) } };
    }
    default:
      return state;
  }
}

function withSnapshot(state: State, snapshot: Snapshot, nowMs: number): State {
  const window = windowOf(snapshot.room);
  const room = applySnapshot(state.rooms[window], snapshot);
  const rooms = { ...state.rooms, [window]: { ...room, watched: window === state.window } };
  return { ...state, heardAtMs: nowMs, rooms };
}

/** The room on screen: the held one, the chosen one, or, until that arrives, the one shown before. */
export function shownRoom(state: State): Room | undefined {
  if (state.frozen) return state.frozen;
  const chosen = state.rooms[state.window];
  if (chosen) return chosen;
  return Object.values(state.rooms).sort((a, b) => b.tick - a.tick)[0];
}

/** Whether what is on screen is the present. */
export function isCurrent(state: State): boolean {
  return state.connection.kind === "live" || state.connection.kind === "polling";
}

/** Ticks merged lately, or 0: a lag is news for a few seconds only. */
export function recentLag(room: Room): number {
  const { lagged } = room;
  return lagged && room.tick - lagged.atTick < 10 ? lagged.ticks : 0;
}

/** Whether anything was ever counted, as far as this room knows. */
export function hasEvents(room: Room): boolean {
  return (
    room.aggregate.lastEventAt !== undefined || room.history.numbers.events.some((cell) => (cell ?? 0) > 0)
  );
}

/** Whether the daemon runs without a key: it says so, or it answers our polls, which carry no token. */
export function isDevMode(state: State): boolean {
  return state.welcome ? state.welcome.auth === "dev" : state.connection.kind === "polling";
}

/** Whether this page may send events: in dev mode everyone may, else the session's scope says. */
export function mayWrite(state: State): boolean {
  const { welcome } = state;
  if (!welcome || isDevMode(state)) return isDevMode(state);
  return /\b(ingest|admin)\b/.test(welcome.scope);
}

/** What the time axes call their newest tick. */
export function endName(state: State): string {
  const room = shownRoom(state);
  if (!room) return "";
  return !state.frozen && isCurrent(state) ? "now" : clock(room.tick);
}
