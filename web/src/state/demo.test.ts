import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { NewEvent, Verdicts } from "../wire/types";
import { Demo } from "./demo";
import { dueEvents, nextEvent, SPELL_ROUTE } from "./traffic";

const taken = (events: NewEvent[]): Verdicts => ({
  accepted: events.length,
  duplicates: 0,
  rejected: [],
  rejectedTotal: 0,
});

beforeEach(() => {
  vi.useFakeTimers({ now: 1_763_884_800_000 });
});

afterEach(() => {
  vi.useRealTimers();
});

test("it sends about its rate and counts every verdict", async () => {
  const batches: NewEvent[][] = [];
  const demo = new Demo({
    canSend: () => true,
    limit: () => undefined,
    send: async (events) => {
      batches.push(events);
      return taken(events);
    },
  });
  demo.setRate(1_000);
  demo.start();
  await vi.advanceTimersByTimeAsync(10_000);
  const sent = batches.flat().length;
  expect(sent).toBeGreaterThan(7_000);
  expect(sent).toBeLessThan(13_000);
  expect(demo.get().accepted).toBe(sent);
  expect(new Set(batches.flat().map((event) => event.eventId)).size).toBe(sent);
  demo.stop();
});

test("a batch whose answer was lost is sent again with the same ids", async () => {
  const batches: NewEvent[][] = [];
  const demo = new Demo({
    canSend: () => true,
    limit: () => undefined,
    send: async (events) => {
      batches.push(events);
      if (batches.length === 1) throw Object.assign(new Error("lost"), { retryAfterMs: 200 });
      return {
        ...taken(events),
        ...(events === batches[0] ? { accepted: 0, duplicates: events.length } : {}),
      };
    },
  });
  demo.setRate(100);
  demo.start();
  await vi.advanceTimersByTimeAsync(1_000);
  demo.stop();
  const first = batches[0] ?? [];
  expect(batches.filter((batch) => batch === first)).toHaveLength(2);
  expect(demo.get().duplicates).toBe(first.length);
});

test("nothing is made while nothing can be sent", async () => {
  const send = vi.fn(async (events: NewEvent[]) => taken(events));
  const demo = new Demo({ canSend: () => false, limit: () => undefined, send });
  demo.start();
  await vi.advanceTimersByTimeAsync(5_000);
  expect(send).not.toHaveBeenCalled();
  expect(demo.get().waiting).toBe("waiting for the daemon");
  demo.stop();
});

test("a spell fails half of one route and no other", () => {
  let seed = 1;
  const random = () => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed / 2_147_483_647;
  };
  const events = Array.from({ length: 4_000 }, (_, i) =>
    nextEvent({ rate: 100, spell: true }, `e${i}`, random),
  );
  const failed = (route: (name: string) => boolean) => {
    const of = events.filter((event) => route(event.route));
    return of.filter((event) => (event.status ?? 0) >= 500).length / of.length;
  };
  expect(failed((name) => name === SPELL_ROUTE)).toBeGreaterThan(0.4);
  expect(failed((name) => name !== SPELL_ROUTE)).toBeLessThan(0.02);
});

test("a fraction of an event comes due by chance, not never", () => {
  expect(dueEvents(1, undefined, 100, 0, () => 0.05)).toBe(1);
  expect(dueEvents(1, undefined, 100, 0, () => 0.95)).toBe(0);
});

test("it never makes more than the daemon takes", () => {
  for (let ms = 0; ms < 60_000; ms += 100) {
    expect(dueEvents(100, 50, 100, ms, () => 0.99)).toBeLessThanOrEqual(5);
  }
});

test("over the daemon's limit it holds everything back until the daemon says, then goes on", async () => {
  const sentAtMs: number[] = [];
  const demo = new Demo({
    canSend: () => true,
    limit: () => undefined,
    send: async (events) => {
      sentAtMs.push(Date.now() - 1_763_884_800_000);
      if (sentAtMs.length === 1) {
        throw Object.assign(new Error("50 events a second"), { code: "rate_limited", retryAfterMs: 1_500 });
      }
      return taken(events);
    },
  });
  demo.start();
  await vi.advanceTimersByTimeAsync(1_400);
  expect(sentAtMs).toHaveLength(1);
  expect(demo.get().waiting).toBe("50 events a second");
  await vi.advanceTimersByTimeAsync(1_000);
  expect(sentAtMs[1]).toBeGreaterThanOrEqual(1_600);
  expect(demo.get().waiting).toBeUndefined();
  demo.stop();
});

test("a batch larger than the burst is sent in halves, no event of it twice", async () => {
  const accepted: NewEvent[] = [];
  const demo = new Demo({
    canSend: () => true,
    limit: () => undefined,
    send: async (events) => {
      if (events.length > 3) throw Object.assign(new Error("too large"), { code: "batch_exceeds_burst" });
      accepted.push(...events);
      return taken(events);
    },
  });
  demo.setRate(100);
  demo.start();
  await vi.advanceTimersByTimeAsync(1_000);
  demo.stop();
  await vi.advanceTimersByTimeAsync(2_000);
  expect(accepted.length).toBeGreaterThan(50);
  expect(new Set(accepted.map((event) => event.eventId)).size).toBe(accepted.length);
  expect(demo.get().accepted).toBe(accepted.length);
});

test("a token that may not send ends it, with the daemon's words", async () => {
  const send = vi.fn(async (): Promise<Verdicts> => {
    throw Object.assign(new Error("this needs the scope ingest"), { code: "wrong_scope" });
  });
  const demo = new Demo({ canSend: () => true, limit: () => undefined, send });
  demo.start();
  await vi.advanceTimersByTimeAsync(5_000);
  expect(send).toHaveBeenCalledTimes(1);
  expect(demo.get()).toMatchObject({ running: false, lastRejection: "this needs the scope ingest", open: 0 });
});
