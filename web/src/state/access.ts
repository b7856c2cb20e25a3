// What this page may see and do, and until when: from the welcome, and from the claims of the token in use. The token
// itself is not here: the state is drawn. Pure.

import { allows, type Claims } from "../wire/token";
import { type State, shownRoom } from "./state";

export interface Access {
  /** Of the token in use. */
  used: Claims | undefined;
  /** Of a token that was presented and not yet answered. */
  offered: Claims | undefined;
  /** Why the last one presented was not taken. */
  refusal: { code: string; detail: string } | undefined;
  /** Tokens taken so far. */
  taken: number;
  /** How often the daemon asked for one, a refusal of the one just offered aside. */
  asked: number;
}

export const NO_ACCESS: Access = {
  used: undefined,
  offered: undefined,
  refusal: undefined,
  taken: 0,
  asked: 0,
};

/** From here on the end of the token is worth a word. */
const ENDS_SOON_S = 5 * 60;

/** What was offered is in use now. */
export function taken(access: Access): Access {
  if (!access.offered) return access;
  return { ...access, used: access.offered, offered: undefined, refusal: undefined, taken: access.taken + 1 };
}

/** The daemon wants one, or another one. */
export function asked(access: Access): Access {
  return { ...access, asked: access.asked + 1 };
}

export function refused(access: Access, code: string, detail: string): Access {
  return { ...access, offered: undefined, refusal: { code, detail } };
}

/** Whether the daemon waits for a token, or for another one. */
export function isAsking(state: State): boolean {
  return state.connection.kind === "denied" && state.connection.asks;
}

/** Whether the daemon has a key, so that there are tokens to speak of. */
export function usesTokens(state: State): boolean {
  return isAsking(state) || state.access.used !== undefined || (state.welcome?.auth ?? "dev") !== "dev";
}

/** Whether the daemon runs without a key: it says so, or it answers our polls, which carry no token. */
export function isDevMode(state: State): boolean {
  if (state.welcome) return state.welcome.auth === "dev";
  return state.connection.kind === "polling" && state.access.used === undefined;
}

/** The scopes of this page, space-separated. */
export function scopeOf({ welcome, access }: State): string {
  return welcome?.auth === "ok" ? welcome.scope : (access.used?.scope ?? "");
}

/** Whether this page may send events: in dev mode everyone may, else the session's scope says. */
export function mayWrite(state: State): boolean {
  return isDevMode(state) || allows(scopeOf(state), "ingest");
}

/** Events a second this page may send; undefined: as many as it likes. */
export function sendLimit({ welcome, access }: State): number | undefined {
  return welcome?.limits.eventsPerSecond ?? access.used?.rate;
}

/** Seconds until the token ends, by the daemon's clock; undefined without a token or a picture. */
export function endsInS(state: State): number | undefined {
  const { used } = state.access;
  const newest = newestTick(state);
  return used && newest !== undefined ? used.expiresS - newest - 1 : undefined;
}

/** The same, once it is so near that a person should know. */
export function endsSoonS(state: State): number | undefined {
  const left = endsInS(state);
  return left !== undefined && left <= ENDS_SOON_S && !isAsking(state) ? Math.max(0, left) : undefined;
}

function newestTick(state: State): number | undefined {
  const room = shownRoom(state);
  if (!room) return undefined;
  return Math.max(...Object.values(state.rooms).map((each) => each.tick), room.tick);
}
