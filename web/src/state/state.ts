// Everything the page shows, and the one function that changes it. No I/O, no clock: what happened, and when, comes
// in with the action.

import type { FeedEvent } from "../wire/feed";
import { filterOf, roomOf } from "../wire/rooms";
import type { Claims } from "../wire/token";
import type { Snapshot, Welcome } from "../wire/types";
import { type Access, asked, NO_ACCESS, refused, taken } from "./access";
import { clock } from "./format";
import { applyDelta, applySnapshot, follows, type Room } from "./room";

export type Connection =
  | { kind: "connecting"; attempt: number }
  | { kind: "live" }
  | { kind: "reconnecting"; attempt: number; retryAtMs: number; reason: string }
  /** `slowedUntilMs`: the daemon's limit is reached, and the next question waits. */
  | { kind: "polling"; everyMs: number; unopened: boolean; slowedUntilMs: number | undefined }
  | { kind: "denied"; code: string; detail: string; asks: boolean };

export interface State {
  connection: Connection;
  welcome: Pick<Welcome, "node" | "windows" | "auth" | "scope" | "limits"> | undefined;
  access: Access;
  /** The window chosen; its room may still be on its way. */
  window: string;
  /** What is watched of it; empty: everything. */
  filter: string;
  /** By the names of their rooms. */
  rooms: Record<string, Room>;
  /** Whether there were ever several instances: then what is said of them keeps its place. */
  clustered: boolean;
  /** The picture held by pause. */
  frozen: Room | undefined;
  /** When the newest frame came, in Unix ms. */
  heardAtMs: number | undefined;
  /** Why a rewound picture could not be had, said once. */
  notice: string | undefined;
}

export type Action =
  | { kind: "feed"; event: FeedEvent; nowMs: number }
  | { kind: "view"; window: string; filter: string }
  | { kind: "notice"; notice: string }
  /** A token was presented; what it says of itself. */
  | { kind: "offer"; claims: Claims }
  /** The person has seen why the last token was not taken. */
  | { kind: "settled" }
  /** The token is forgotten, and what it let see. */
  | { kind: "forget" }
  | { kind: "pause" }
  | { kind: "resume"; notice?: string }
  /** The picture of the held moment in another window, and the newest, whose history leads up to it. */
  | { kind: "rewound"; snapshot: Snapshot; newest: Snapshot };

export const DEFAULT_WINDOWS = ["1s", "5s", "60s"];
export const DEFAULT_WINDOW = "5s";

export function initialState(window: string, filter = ""): State {
  return {
    connection: { kind: "connecting", attempt: 0 },
    welcome: undefined,
    access: NO_ACCESS,
    window,
    filter,
    rooms: {},
    clustered: false,
    frozen: undefined,
    heardAtMs: undefined,
    notice: undefined,
  };
}

export function reduce(state: State, action: Action): State {
  switch (action.kind) {
    case "feed":
      return feed(state, action.event, action.nowMs);
    case "view":
      return view(state, action.window, action.filter);
    case "notice":
      return { ...state, notice: action.notice };
    case "offer":
      return { ...state, access: { ...state.access, offered: action.claims, refusal: undefined } };
    case "settled":
      return { ...state, access: { ...state.access, refusal: undefined } };
    case "forget":
      return {
        ...initialState(state.window, state.filter),
        access: { ...NO_ACCESS, taken: state.access.taken, asked: state.access.asked },
        connection: state.connection,
      };
    case "pause": {
      const room = state.rooms[chosenRoom(state)];
      return room ? { ...state, frozen: room, notice: undefined } : state;
    }
    case "resume":
      return { ...state, frozen: undefined, notice: action.notice };
    case "rewound":
      // Held again since, at another moment: the answer is to a question no longer asked.
      if (state.frozen?.tick !== action.snapshot.tick) return state;
      return { ...state, frozen: applySnapshot(applySnapshot(undefined, action.newest), action.snapshot) };
  }
}

/** The name of the room that is watched. */
export function chosenRoom({ window, filter }: State): string {
  return roomOf(window, filter);
}

/** Rooms other than the chosen one get no more frames. Of other filters only the picture on screen is kept. */
function view(state: State, window: string, filter: string): State {
  const chosen = roomOf(window, filter);
  const shown = shownRoom({ ...state, frozen: undefined });
  const kept = Object.entries(state.rooms).filter(
    ([name, room]) => filterOf(name) === filter || (room === shown && !state.rooms[chosen]),
  );
  const rooms = Object.fromEntries(
    kept.map(([name, room]) => [name, name === chosen || !room.watched ? room : { ...room, watched: false }]),
  );
  return { ...state, window, filter, rooms, notice: undefined };
}

function feed(state: State, event: FeedEvent, nowMs: number): State {
  switch (event.kind) {
    case "connecting":
      // Attempts after the first are part of reconnecting or polling, and one with a token of being denied: the words
      // on screen stay put.
      return event.attempt === 0 && !state.access.offered
        ? { ...state, connection: { kind: "connecting", attempt: 0 } }
        : state;
    case "lost": {
      const { attempt, retryAtMs, reason } = event;
      return { ...state, connection: { kind: "reconnecting", attempt, retryAtMs, reason } };
    }
    case "refused":
      return { ...state, access: refused(state.access, event.code, event.detail) };
    case "denied": {
      const { code, detail, asks } = event;
      // What a person just tried says more than what the token before it met.
      const { access } = state;
      const next = access.offered ? refused(access, code, detail) : asks ? asked(access) : access;
      return { ...state, access: next, connection: { kind: "denied", code, detail, asks } };
    }
    case "barred":
      // The session chooses another room.
      return state;
    case "slowed": {
      const polling = state.connection.kind === "polling" ? state.connection : POLLING;
      return { ...state, connection: { ...polling, slowedUntilMs: event.nextAtMs } };
    }
    case "polled": {
      const { everyMs, unopened } = event;
      const next = withSnapshot(letIn(state), event.snapshot, nowMs);
      return { ...next, connection: { kind: "polling", everyMs, unopened, slowedUntilMs: undefined } };
    }
    case "message":
      return message(state, event.message, nowMs);
  }
}

const POLLING = { kind: "polling", everyMs: 2_000, unopened: false } as const;

/** The token offered is good. What another site's token showed is not this one's picture. */
function letIn(state: State): State {
  const { offered, used } = state.access;
  const access = taken(state.access);
  if (!offered || !used || offered.site === used.site) return { ...state, access };
  return { ...state, access, rooms: {}, frozen: undefined };
}

function message(
  state: State,
  received: Extract<FeedEvent, { kind: "message" }>["message"],
  nowMs: number,
): State {
  switch (received.op) {
    case "welcome": {
      const { node, windows, auth, scope, limits } = received;
      const next = auth === "ok" ? letIn(state) : state;
      return { ...next, welcome: { node, windows, auth, scope, limits } };
    }
    case "snapshot":
      return { ...withSnapshot(state, received, nowMs), connection: { kind: "live" } };
    case "delta": {
      const name = received.room;
      const room = state.rooms[name];
      if (!follows(room, received)) return state;
      const next = applyDelta(room, received);
      const rooms = { ...state.rooms, [name]: next };
      return { ...state, heardAtMs: nowMs, rooms, clustered: state.clustered || isOfSeveral(next) };
    }
    default:
      return state;
  }
}

function withSnapshot(state: State, snapshot: Snapshot, nowMs: number): State {
  const name = snapshot.room;
  // A room that was left before its snapshot came.
  if (filterOf(name) !== state.filter) return state;
  const room = applySnapshot(state.rooms[name], snapshot);
  const others = Object.entries(state.rooms).filter(([each]) => filterOf(each) === state.filter);
  const rooms = { ...Object.fromEntries(others), [name]: { ...room, watched: name === chosenRoom(state) } };
  return { ...state, heardAtMs: nowMs, rooms, clustered: state.clustered || isOfSeveral(room) };
}

const isOfSeveral = ({ aggregate }: Room) => aggregate.nodes.expected > 1;

/** The room on screen: the held one, the chosen one, or, until that arrives, the one shown before. */
export function shownRoom(state: State): Room | undefined {
  if (state.frozen) return state.frozen;
  const chosen = state.rooms[chosenRoom(state)];
  if (chosen) return chosen;
  return Object.values(state.rooms).sort((a, b) => b.tick - a.tick)[0];
}

/** Whether what is on screen is the present. */
export function isCurrent(state: State): boolean {
  return state.connection.kind === "live" || state.connection.kind === "polling";
}

/** Whether polling waits for the daemon's limit. */
export function isSlowed({ connection }: State): boolean {
  return connection.kind === "polling" && connection.slowedUntilMs !== undefined;
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

/** What the time axes call their newest tick. */
export function endName(state: State): string {
  const room = shownRoom(state);
  if (!room) return "";
  return !state.frozen && isCurrent(state) ? "now" : clock(room.tick);
}
