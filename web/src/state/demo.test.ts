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
  const demo = new Demo({ canSend: () => false, send });
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
  expect(dueEvents(1, 100, 0, () => 0.05)).toBe(1);
  expect(dueEvents(1, 100, 0, () => 0.95)).toBe(0);
});
