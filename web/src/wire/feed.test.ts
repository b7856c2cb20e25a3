import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { snapshot, TICK, welcome } from "../test/frames";
import { Feed, type FeedEvent } from "./feed";

/** A socket whose other end is the test. */
class FakeSocket {
  static readonly OPEN = 1;
  static all: FakeSocket[] = [];
  readonly readyState = FakeSocket.OPEN;
  readonly sent: { op: string; [key: string]: unknown }[] = [];
  closed = false;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onopen: (() => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;

  constructor(
    readonly url: string,
    readonly protocol: string,
  ) {
    FakeSocket.all.push(this);
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }

  close(): void {
    this.closed = true;
  }

  says(message: object): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }

  ends(code: number, reason = ""): void {
    this.onclose?.({ code, reason });
  }

  /** As a daemon with a key: asks, and lets in. */
  asks(): void {
    this.onopen?.();
    this.says(welcome({ auth: "required", scope: "" }));
  }

  letsIn(scope = "read"): void {
    this.says(welcome({ auth: "ok", scope }));
  }

  welcomes(): void {
    this.says(welcome());
    this.says({ op: "snapshot", ...snapshot(TICK) });
  }
}

const newest = () => FakeSocket.all[FakeSocket.all.length - 1] as FakeSocket;
const json = (status: number, body: object, headers: Record<string, string> = {}) => ({
  ok: status < 400,
  status,
  headers: new Headers(headers),
  json: async () => body,
});

let events: FeedEvent[];
let since: number | undefined;
let rest: ReturnType<typeof vi.fn>;
let feed: Feed;

beforeEach(() => {
  vi.useFakeTimers({ now: TICK * 1000 });
  vi.spyOn(Math, "random").mockReturnValue(1);
  FakeSocket.all = [];
  rest = vi.fn(async () => {
    throw new TypeError("network");
  });
  vi.stubGlobal("WebSocket", FakeSocket);
  vi.stubGlobal("fetch", rest);
  events = [];
  since = undefined;
  feed = new Feed(
    "ws://127.0.0.1:3000/ws",
    "window:5s",
    (event) => events.push(event),
    () => since,
  );
  feed.start();
});

afterEach(() => {
  feed.stop();
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

const kinds = () => events.map((event) => event.kind);

test("it asks for the whole picture first, and for what it missed after a loss", async () => {
  newest().welcomes();
  expect(newest().sent).toEqual([{ op: "subscribe", rooms: ["window:5s"] }]);
  since = TICK;
  newest().ends(1006);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(FakeSocket.all).toHaveLength(2);
  newest().welcomes();
  expect(newest().sent).toEqual([{ op: "subscribe", rooms: ["window:5s"], since: { "window:5s": TICK } }]);
});

test("waits double while the daemon is gone, and start over once it has shown a picture", async () => {
  const waits: number[] = [];
  newest().welcomes();
  for (let attempt = 1; attempt <= 3; attempt++) {
    const before = Date.now();
    newest().ends(1006);
    const lost = events.filter((event) => event.kind === "lost").at(-1);
    if (lost?.kind === "lost") waits.push(lost.retryAtMs - before);
    await vi.advanceTimersByTimeAsync(waits.at(-1) ?? 0);
  }
  newest().welcomes();
  newest().ends(1006);
  const last = events.at(-1);
  expect(waits).toEqual([1_000, 2_000, 4_000]);
  expect(last?.kind === "lost" && last.attempt).toBe(1);
});

test("without a socket it polls every two seconds, resuming by tick, and leaves polling for a socket", async () => {
  rest.mockImplementation(async () => json(200, snapshot(TICK + 1)));
  newest().ends(1006);
  await vi.advanceTimersByTimeAsync(1_000);
  since = TICK + 1;
  newest().ends(1006);
  await vi.advanceTimersByTimeAsync(1_900);
  expect(kinds().filter((kind) => kind === "polled")).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(100);
  expect(kinds().filter((kind) => kind === "polled")).toHaveLength(2);
  expect(String(rest.mock.calls[0]?.[0])).toBe(`/api/aggregates?window=5s&since=${TICK + 1}`);
  newest().welcomes();
  rest.mockClear();
  await vi.advanceTimersByTimeAsync(4_000);
  expect(rest).not.toHaveBeenCalled();
});

test("one failed attempt is no reason to poll", () => {
  newest().ends(1006);
  expect(rest).not.toHaveBeenCalled();
});

test("a refusal is said, and not retried", async () => {
  rest.mockImplementation(async () => json(403, { status: 403, code: "dev_mode_is_local", detail: "no" }));
  newest().ends(1006);
  await vi.advanceTimersByTimeAsync(1_000);
  newest().ends(1006);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(events.at(-1)).toEqual({ kind: "denied", code: "dev_mode_is_local", detail: "no", asks: false });
  expect(FakeSocket.all).toHaveLength(2);
});

test("close code 1008 means not to come back, until asked", async () => {
  newest().welcomes();
  newest().ends(1008);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(events.at(-1)?.kind).toBe("denied");
  expect(FakeSocket.all).toHaveLength(1);
  feed.nudge();
  expect(FakeSocket.all).toHaveLength(2);
});

test("a socket that opens and says nothing is given up", async () => {
  await vi.advanceTimersByTimeAsync(5_000);
  expect(FakeSocket.all[0]?.closed).toBe(true);
  expect(events.at(-1)?.kind).toBe("lost");
});

test("a silent connection is asked, then left", async () => {
  newest().welcomes();
  await vi.advanceTimersByTimeAsync(6_000);
  expect(newest().sent.at(-1)?.op).toBe("ping");
  await vi.advanceTimersByTimeAsync(6_000);
  expect(FakeSocket.all[0]?.closed).toBe(true);
});

test("another window leaves the old room and enters the new one", () => {
  newest().welcomes();
  feed.watch("window:60s");
  expect(newest().sent.slice(1)).toEqual([
    { op: "unsubscribe", rooms: ["window:5s"] },
    { op: "subscribe", rooms: ["window:60s"] },
  ]);
});

test("a publish is answered by its own ack, and given back when the connection goes", async () => {
  newest().welcomes();
  const first = feed.publish([{ type: "a", route: "/" }]);
  const second = feed.publish([{ type: "b", route: "/" }]);
  const id = newest().sent.at(-1)?.id;
  newest().says({ op: "ack", id, accepted: 1, duplicates: 0, rejected: [], rejectedTotal: 0 });
  await expect(second).resolves.toMatchObject({ accepted: 1 });
  newest().ends(1012);
  await expect(first).rejects.toMatchObject({ code: "offline" });
});

test("while polling, events go over REST", async () => {
  rest.mockImplementation(async (url: string) =>
    url === "/api/events"
      ? {
          ...json(200, {}),
          clone: () => json(200, { accepted: 2, duplicates: 1, rejected: [], rejectedTotal: 0 }),
        }
      : json(200, snapshot(TICK + 1)),
  );
  newest().ends(1006);
  await vi.advanceTimersByTimeAsync(1_000);
  newest().ends(1006);
  await vi.advanceTimersByTimeAsync(0);
  await expect(feed.publish([{ type: "a", route: "/" }])).resolves.toMatchObject({
    accepted: 2,
    duplicates: 1,
  });
});

const denied = () => events.filter((event) => event.kind === "denied");
const ops = (socket: FakeSocket) => socket.sent.map((message) => message.op);

test("a daemon that asks for a token is left until there is one", async () => {
  newest().asks();
  expect(denied()).toMatchObject([{ code: "unauthorized", asks: true }]);
  expect(FakeSocket.all[0]?.closed).toBe(true);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(FakeSocket.all).toHaveLength(1);
  feed.offer("t.o.k");
  newest().asks();
  expect(newest().sent).toEqual([{ op: "auth", token: "t.o.k" }]);
  newest().letsIn();
  expect(ops(newest())).toEqual(["auth", "subscribe"]);
  expect(newest().url).not.toContain("t.o.k");
  expect(newest().protocol).toBe("pulseboard.v1");
});

test("the token is presented again after a loss, without asking anyone", async () => {
  newest().asks();
  feed.offer("t.o.k");
  newest().asks();
  newest().letsIn();
  newest().says({ op: "snapshot", ...snapshot(TICK) });
  since = TICK;
  newest().ends(1012);
  await vi.advanceTimersByTimeAsync(1_000);
  newest().asks();
  newest().letsIn();
  expect(newest().sent).toEqual([
    { op: "auth", token: "t.o.k" },
    { op: "subscribe", rooms: ["window:5s"], since: { "window:5s": TICK } },
  ]);
  expect(denied()).toHaveLength(1);
});

test("a token in dev mode goes nowhere", () => {
  feed.offer("t.o.k");
  newest().welcomes();
  expect(ops(newest())).toEqual(["subscribe"]);
});

function inside(): FakeSocket {
  newest().asks();
  feed.offer("first");
  newest().asks();
  newest().letsIn();
  newest().says({ op: "snapshot", ...snapshot(TICK) });
  events.length = 0;
  return newest();
}

test("a renewal goes over the open socket, and what is watched goes on", () => {
  const socket = inside();
  feed.offer("second");
  socket.letsIn("read ingest");
  expect(ops(socket)).toEqual(["auth", "subscribe", "auth"]);
  expect(socket.closed).toBe(false);
  expect(FakeSocket.all).toHaveLength(2);
  expect(kinds()).toEqual(["message"]);
});

test("a renewal that is refused leaves the token there was", () => {
  const socket = inside();
  since = TICK;
  feed.offer("bad");
  socket.says({ op: "error", code: "token_signature", message: "not signed by this daemon" });
  socket.ends(1008, "token_signature");
  expect(kinds()).toEqual(["refused", "connecting"]);
  newest().asks();
  newest().letsIn();
  expect(newest().sent).toEqual([
    { op: "auth", token: "first" },
    { op: "subscribe", rooms: ["window:5s"], since: { "window:5s": TICK } },
  ]);
});

test("a first token that is refused is said with its code, and not tried again", async () => {
  newest().asks();
  feed.offer("bad");
  newest().asks();
  newest().says({ op: "error", code: "token_algorithm", message: "another algorithm" });
  expect(denied().at(-1)).toEqual({
    kind: "denied",
    code: "token_algorithm",
    detail: "another algorithm",
    asks: true,
  });
  await vi.advanceTimersByTimeAsync(60_000);
  expect(FakeSocket.all).toHaveLength(2);
  feed.nudge();
  newest().asks();
  expect(ops(newest())).toEqual([]);
});

test("a socket closed at its token's end asks for another, and resumes by tick with it", () => {
  const socket = inside();
  since = TICK;
  socket.ends(1008, "token_expired");
  expect(denied()).toMatchObject([{ code: "token_expired", asks: true }]);
  feed.offer("second");
  newest().asks();
  newest().letsIn();
  expect(newest().sent).toEqual([
    { op: "auth", token: "second" },
    { op: "subscribe", rooms: ["window:5s"], since: { "window:5s": TICK } },
  ]);
});

test("a refused renewal and an ended token together do not go round in circles", async () => {
  const socket = inside();
  feed.offer("bad");
  socket.says({ op: "error", code: "token_signature", message: "no" });
  socket.ends(1008, "token_signature");
  newest().asks();
  newest().says({ op: "error", code: "token_expired", message: "over" });
  newest().ends(1008, "token_expired");
  await vi.advanceTimersByTimeAsync(60_000);
  expect(FakeSocket.all).toHaveLength(3);
  expect(denied()).toMatchObject([{ code: "token_expired", asks: true }]);
});

test("a token without the scope read is no use here", () => {
  newest().asks();
  feed.offer("t.o.k");
  newest().asks();
  newest().letsIn("ingest");
  expect(denied().at(-1)).toMatchObject({ code: "wrong_scope", asks: true });
  expect(ops(newest())).toEqual(["auth"]);
});

test("a token of another site is shown on a new socket", () => {
  const socket = inside();
  feed.offer("other", true);
  expect(socket.closed).toBe(true);
  newest().asks();
  expect(newest().sent).toEqual([{ op: "auth", token: "other" }]);
});

test("a room that is refused is said, one that is refused for now is asked for again", async () => {
  newest().says(welcome());
  newest().says({ op: "error", room: "window:5s", code: "too_many_views", message: "full", retryAfterMs: 5 });
  expect(events.at(-1)?.kind).toBe("lost");
  await vi.advanceTimersByTimeAsync(1_000);
  newest().says(welcome());
  newest().says({ op: "error", room: "window:5s", code: "not_available", message: "not here" });
  expect(events.at(-1)).toEqual({ kind: "denied", code: "not_available", detail: "not here", asks: false });
});

test("polling carries the token in a header, and asks for one when it is refused", async () => {
  rest.mockImplementation(async (_url: string, { headers }: { headers: Record<string, string> }) =>
    headers.authorization === "Bearer good"
      ? json(200, snapshot(TICK + 1))
      : json(401, { code: headers.authorization ? "token_signature" : "unauthorized", detail: "no" }),
  );
  newest().ends(1006);
  await vi.advanceTimersByTimeAsync(1_000);
  newest().ends(1006);
  await vi.advanceTimersByTimeAsync(0);
  expect(denied().at(-1)).toMatchObject({ code: "unauthorized", asks: true });
  feed.offer("bad");
  await vi.advanceTimersByTimeAsync(0);
  expect(denied().at(-1)).toMatchObject({ code: "token_signature", asks: true });
  feed.offer("good");
  await vi.advanceTimersByTimeAsync(0);
  expect(events.at(-1)).toMatchObject({ kind: "polled", unopened: true });
  expect(rest.mock.calls.some(([url]) => /good|bad/.test(String(url)))).toBe(false);
});

test("the daemon's limit slows polling down, says until when, and lets it recover", async () => {
  let limited = true;
  rest.mockImplementation(async () =>
    limited
      ? json(429, { code: "rate_limited", detail: "100 a minute" }, { "retry-after": "7" })
      : json(200, snapshot(TICK + 1)),
  );
  newest().ends(1006);
  await vi.advanceTimersByTimeAsync(1_000);
  newest().ends(1006);
  await vi.advanceTimersByTimeAsync(0);
  expect(events.at(-1)).toEqual({ kind: "slowed", nextAtMs: Date.now() + 7_000 });
  limited = false;
  await vi.advanceTimersByTimeAsync(6_900);
  expect(rest).toHaveBeenCalledTimes(1);
  await vi.advanceTimersByTimeAsync(100);
  const polled = () => events.filter((event) => event.kind === "polled");
  expect(polled()[0]).toMatchObject({ everyMs: 3_400 });
  await vi.advanceTimersByTimeAsync(60_000);
  expect(polled().at(-1)).toMatchObject({ everyMs: 2_000 });
});

test("a filter that is none ends neither the socket nor polling", async () => {
  const filtered = "window:5s?filter=nonsense";
  newest().welcomes();
  feed.watch(filtered);
  newest().says({ op: "error", room: filtered, code: "bad_filter", message: "column 9" });
  expect(events.at(-1)).toEqual({ kind: "barred", room: filtered, detail: "column 9" });
  expect(newest().closed).toBe(false);
  feed.watch("window:5s");
  expect(newest().sent.at(-1)).toMatchObject({ op: "subscribe", rooms: ["window:5s"] });

  rest.mockImplementation(async (url: string) =>
    url.includes("filter=nonsense")
      ? json(422, { code: "bad_filter", detail: "column 9" })
      : json(200, snapshot(TICK + 1)),
  );
  newest().ends(1006);
  await vi.advanceTimersByTimeAsync(1_000);
  newest().ends(1006);
  await vi.advanceTimersByTimeAsync(0);
  feed.watch(filtered);
  await vi.advanceTimersByTimeAsync(0);
  expect(events.at(-1)).toEqual({ kind: "barred", room: filtered, detail: "column 9" });
  feed.watch("window:5s");
  await vi.advanceTimersByTimeAsync(0);
  expect(events.at(-1)?.kind).toBe("polled");
});
