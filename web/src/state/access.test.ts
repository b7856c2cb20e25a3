import { expect, test } from "vitest";
import { aggregate, history, snapshot, TICK, welcome } from "../test/frames";
import type { FeedEvent } from "../wire/feed";
import type { Claims } from "../wire/token";
import type { ServerMessage } from "../wire/types";
import { endsInS, endsSoonS, isAsking, isDevMode, mayWrite, scopeOf, sendLimit, usesTokens } from "./access";
import { denialOf } from "./denials";
import { type Action, initialState, reduce, type State, shownRoom } from "./state";
import { statusOf } from "./status";

const NOW = (TICK + 1) * 1000 + 250;
const run = (state: State, ...actions: Action[]): State => actions.reduce(reduce, state);
const fed = (event: FeedEvent): Action => ({ kind: "feed", event, nowMs: NOW });
const heard = (message: ServerMessage): Action => fed({ kind: "message", message });

const claims = (part: Partial<Claims> = {}): Claims => ({
  subject: "ops",
  scope: "read",
  site: undefined,
  rate: undefined,
  expiresS: TICK + 3_600,
  ...part,
});
const offer = (part: Partial<Claims> = {}): Action => ({ kind: "offer", claims: claims(part) });
const letsIn = (scope = "read") => heard(welcome({ auth: "ok", scope }));
const picture = heard({
  op: "snapshot",
  ...snapshot(TICK, {
    aggregate: aggregate(TICK, { events: 10 }),
    history: history(TICK - 2, [8, 9, 10]),
  }),
});
const asked = fed({ kind: "denied", code: "unauthorized", detail: "a token", asks: true });
const start = initialState("5s");
const inside = run(start, asked, offer(), letsIn(), picture);

test("a token asked for is no dead end: the words say so, and it is not dev mode", () => {
  const state = run(start, heard(welcome({ auth: "required", scope: "" })), asked);
  expect(isAsking(state) && usesTokens(state)).toBe(true);
  expect(isDevMode(state) || mayWrite(state)).toBe(false);
  expect(statusOf(state, NOW)).toMatchObject({ light: "lost", word: "token needed", detail: "" });
});

test("what the token may is what the welcome says, and before one what the token says", () => {
  expect(scopeOf(inside)).toBe("read");
  expect(mayWrite(inside)).toBe(false);
  expect(mayWrite(run(inside, offer(), letsIn("read ingest")))).toBe(true);
  const limits = { publishBytes: 1, rooms: 1, eventsPerSecond: 50 };
  expect(sendLimit(run(inside, heard(welcome({ auth: "ok", limits }))))).toBe(50);
  const polled = fed({ kind: "polled", snapshot: snapshot(TICK), everyMs: 2_000, unopened: true });
  const polling = run(start, asked, offer({ scope: "read ingest" }), polled);
  expect(polling.connection.kind).toBe("polling");
  expect(mayWrite(polling) && !isDevMode(polling)).toBe(true);
  expect(isDevMode(run(start, polled))).toBe(true);
});

test("a token that soon ends is news, by the daemon's clock", () => {
  expect(endsInS(inside)).toBe(3_599);
  expect(endsSoonS(inside)).toBeUndefined();
  const late = run(inside, offer({ expiresS: TICK + 121 }), letsIn());
  expect(endsSoonS(late)).toBe(120);
  expect(endsSoonS(run(late, offer({ expiresS: TICK - 5 }), letsIn()))).toBe(0);
});

test("at the token's end the picture stays, and says its age", () => {
  const state = run(inside, fed({ kind: "denied", code: "token_expired", detail: "over", asks: true }));
  expect(shownRoom(state)).toBe(shownRoom(inside));
  const status = statusOf(state, NOW + 5_000);
  expect(status).toMatchObject({ word: "token ended", stale: true });
  expect(status.detail).toMatch(/^last seen \d\d:\d\d:\d\d, 5s ago$/);
  const back = run(state, offer(), fed({ kind: "connecting", attempt: 0 }));
  expect(isAsking(back)).toBe(true);
  expect(run(back, letsIn()).access.taken).toBe(2);
});

test("a refused renewal is told until it was seen, and changes nothing else", () => {
  const state = run(
    inside,
    offer({ subject: "new" }),
    fed({ kind: "refused", code: "token_signature", detail: "no" }),
  );
  expect(state.access).toMatchObject({ used: { subject: "ops" }, refusal: { code: "token_signature" } });
  expect(state.connection.kind).toBe("live");
  expect(run(state, { kind: "settled" }).access.refusal).toBeUndefined();
});

test("another site's token brings another picture", () => {
  expect(run(inside, offer({ subject: "new" }), letsIn()).rooms).toBe(inside.rooms);
  expect(run(inside, offer({ site: "shop" }), letsIn()).rooms).toEqual({});
});

test("a forgotten token takes its picture along", () => {
  const state = run(inside, asked, { kind: "forget" });
  expect(shownRoom(state)).toBeUndefined();
  expect(isAsking(state)).toBe(true);
  expect(state.access.used).toBeUndefined();
});

test("the daemon's limit on polling is said with what is left to wait", () => {
  const state = run(inside, fed({ kind: "slowed", nextAtMs: NOW + 7_000 }));
  expect(statusOf(state, NOW).detail).toBe("slowed by the daemon's limit, next in 7 s");
  const again = fed({ kind: "polled", snapshot: snapshot(TICK + 1), everyMs: 4_000, unopened: false });
  expect(statusOf(run(state, again), NOW).detail).toBe("every 4 s over REST");
});

test("every code has a title and a sentence, and one of a newer daemon is told as it is", () => {
  for (const code of [
    "unauthorized",
    "token_expired",
    "token_signature",
    "wrong_scope",
    "token_unheard_of",
  ]) {
    const { title, text } = denialOf(code, true);
    expect(title.length > 5 && text.length > 5, code).toBe(true);
  }
  expect(denialOf("dev_mode_is_local", false).command).toBe("pulseboardd --init-auth");
});
