import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { snapshot, TICK } from "../test/frames";
import { Feed, type FeedEvent } from "./feed";

/** A socket whose other end is the test. */
class FakeSocket {
  static readonly OPEN = 1;
  static all: FakeSocket[] = [];
  readonly readyState = FakeSocket.OPEN;
  readonly sent: { op: string; [key: string]: unknown }[] = [];
  closed = false;
  onmessage: ((event: { data: unknown }) => void) | null = null;
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

  ends(code: number): void {
    this.onclose?.({ code, reason: "" });
  }

  welcomes(): void {
    this.says({
      op: "welcome",
      protocol: 1,
      node: "n",
      tick: TICK,
      windows: ["5s"],
      auth: "dev",
      scope: "admin",
      limits: {},
    });
    this.says({ op: "snapshot", ...snapshot(TICK) });
  }
}

const newest = () => FakeSocket.all[FakeSocket.all.length - 1] as FakeSocket;
const json = (status: number, body: object) => ({ ok: status < 400, status, json: async () => body });

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
  expect(events.at(-1)).toEqual({ kind: "denied", code: "dev_mode_is_local", detail: "no" });
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
