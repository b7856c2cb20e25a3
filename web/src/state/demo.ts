// The demo panel's engine: makes traffic, sends it in small batches, and keeps count of every verdict. A batch whose
// answer was lost is sent again with the same ids, so that the daemon, not the page, decides what is a duplicate.

import type { NewEvent, Verdicts } from "../wire/types";
import { dueEvents, nextEvent } from "./traffic";

const STEP_MS = 100;
/** Longest stretch made up for after a stall: a tab that slept does not send its sleep. */
const CATCH_UP_MS = 1_000;
/** About 100 kB a frame, far under the daemon's 1 MiB. */
const BATCH = 500;
/** Batches waiting for an answer or another try; past it no new traffic is made. */
const MAX_OPEN = 16;
export const SPELL_MS = 20_000;

export const RATES = [5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000];
export const DEFAULT_RATE = 100;

export interface DemoState {
  running: boolean;
  rate: number;
  /** End of the error spell in Unix ms, 0 without one. */
  spellUntilMs: number;
  accepted: number;
  duplicates: number;
  rejected: number;
  lastRejection: string | undefined;
  /** Events sent and not yet answered. */
  open: number;
  ackMs: number | undefined;
  /** Why nothing is being taken, while nothing is. */
  waiting: string | undefined;
}

export interface Outlet {
  canSend: () => boolean;
  send: (events: NewEvent[]) => Promise<Verdicts>;
  /** Events a second the daemon lets this page send; undefined: any number. */
  limit: () => number | undefined;
}

/** What a refused publish says; a lost connection says none of it. */
interface Failure extends Error {
  code?: string;
  retryAfterMs?: number;
}

/** This page may not send, whatever it sends: trying again is no use. */
const FINAL = new Set(["unauthorized", "wrong_scope", "wrong_site", "http_401", "http_403"]);

interface Batch {
  events: NewEvent[];
  notBeforeMs: number;
}

const IDLE: DemoState = {
  running: false,
  rate: DEFAULT_RATE,
  spellUntilMs: 0,
  accepted: 0,
  duplicates: 0,
  rejected: 0,
  lastRejection: undefined,
  open: 0,
  ackMs: undefined,
  waiting: undefined,
};

export class Demo {
  private state = IDLE;
  private retry: Batch[] = [];
  private openBatches = 0;
  private steppedAtMs = 0;
  private sequence = 0;
  /** Over the daemon's limit: nothing is sent before this. */
  private heldUntilMs = 0;
  private timer: ReturnType<typeof setInterval> | undefined;
  private readonly outlet: Outlet;
  private readonly run = Math.random().toString(36).slice(2, 10);
  private readonly listeners = new Set<() => void>();

  constructor(outlet: Outlet) {
    this.outlet = outlet;
  }

  readonly get = (): DemoState => this.state;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  start(): void {
    if (this.state.running) return;
    this.change({ running: true, waiting: undefined });
    this.steppedAtMs = Date.now();
    this.timer ??= setInterval(() => this.step(), STEP_MS);
  }

  /** Makes no more events; what is already under way is still settled. */
  stop(): void {
    this.change({ running: false, spellUntilMs: 0, waiting: undefined });
  }

  setRate(rate: number): void {
    this.change({ rate });
  }

  spell(): void {
    this.change({ spellUntilMs: Date.now() + SPELL_MS });
    this.start();
  }

  private step(): void {
    const now = Date.now();
    if (!this.state.running && this.retry.length === 0 && this.openBatches === 0) {
      clearInterval(this.timer);
      this.timer = undefined;
      return;
    }
    if (this.state.spellUntilMs > 0 && now > this.state.spellUntilMs) this.change({ spellUntilMs: 0 });
    if (now < this.heldUntilMs) {
      this.steppedAtMs = now;
      return;
    }
    while (this.outlet.canSend() && this.retry[0] && this.retry[0].notBeforeMs <= now) {
      const batch = this.retry.shift();
      if (batch) this.send(batch.events);
    }
    const elapsed = Math.min(CATCH_UP_MS, now - this.steppedAtMs);
    this.steppedAtMs = now;
    if (!this.state.running) return;
    if (!this.outlet.canSend() || this.openBatches + this.retry.length >= MAX_OPEN) {
      this.change({ waiting: this.state.waiting ?? "waiting for the daemon" });
      return;
    }
    const story = { rate: this.state.rate, spell: this.state.spellUntilMs > now };
    const due = dueEvents(story.rate, this.outlet.limit(), elapsed, now, Math.random);
    for (let sent = 0; sent < due; sent += BATCH) {
      const events: NewEvent[] = [];
      for (let i = sent; i < Math.min(due, sent + BATCH); i++) {
        this.sequence += 1;
        events.push(nextEvent(story, `demo-${this.run}-${this.sequence}`, Math.random));
      }
      this.send(events);
    }
  }

  private send(events: NewEvent[]): void {
    const sentAtMs = performance.now();
    this.openBatches += 1;
    this.change({ open: this.state.open + events.length });
    this.outlet
      .send(events)
      .then((verdicts) => {
        this.change({
          accepted: this.state.accepted + verdicts.accepted,
          duplicates: this.state.duplicates + verdicts.duplicates,
          rejected: this.state.rejected + verdicts.rejectedTotal,
          lastRejection: verdicts.rejected[0]?.message ?? this.state.lastRejection,
          ackMs: performance.now() - sentAtMs,
          waiting: undefined,
        });
      })
      .catch((error: Failure) => this.failed(events, error))
      .finally(() => {
        this.openBatches -= 1;
        this.change({ open: this.state.open - events.length });
      });
  }

  private failed(events: NewEvent[], { code = "", message, retryAfterMs = 1_000 }: Failure): void {
    const now = Date.now();
    if (FINAL.has(code)) {
      this.retry = [];
      this.stop();
      this.change({ lastRejection: message });
      return;
    }
    if (code === "batch_exceeds_burst" && events.length > 1) {
      const middle = Math.ceil(events.length / 2);
      for (const half of [events.slice(0, middle), events.slice(middle)]) {
        this.retry.push({ events: half, notBeforeMs: now });
      }
    } else {
      this.retry.push({ events, notBeforeMs: now + retryAfterMs });
    }
    if (code === "rate_limited") this.heldUntilMs = Math.max(this.heldUntilMs, now + retryAfterMs);
    this.change({ waiting: message });
  }

  private change(part: Partial<DemoState>): void {
    this.state = { ...this.state, ...part };
    for (const listener of this.listeners) listener();
  }
}
