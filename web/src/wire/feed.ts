// The connection to the daemon: one socket, retried for ever with backoff, and REST polling for as long as a socket
// cannot be had. It keeps no numbers; it asks `sinceOf` where to resume and hands every message on.
// Only this folder touches WebSocket or fetch.

import { backoffMs } from "./backoff";
import { decode } from "./decode";
import { getAggregates, postEvents, Refused } from "./rest";
import { windowOf } from "./rooms";
import type { ClientMessage, NewEvent, ServerMessage, Snapshot, Verdicts } from "./types";

const SUBPROTOCOL = "pulseboard.v1";
/** A socket that opens but says nothing (a proxy that swallows upgrades) is given up after this. */
const WELCOME_TIMEOUT_MS = 5_000;
/** A subscribed room moves every second: past this much silence we ask, and past it again we leave. */
const SILENCE_MS = 5_000;
const POLL_MS = 2_000;
/** Attempts without a welcome before REST is tried: one may be bad luck. */
const ATTEMPTS_BEFORE_POLLING = 2;
/** Batches sent and not yet answered; the daemon pauses our reading past 64. */
const MAX_IN_FLIGHT = 32;
const POLICY_CLOSE = 1008;
/** Answers that asking again does not change: no token, not this machine, no such window. */
const REFUSALS = new Set([401, 403, 422]);

export type FeedEvent =
  | { kind: "connecting"; attempt: number }
  | { kind: "message"; message: ServerMessage }
  | { kind: "lost"; attempt: number; retryAtMs: number; reason: string }
  | { kind: "polled"; snapshot: Snapshot; retryAtMs: number; attempt: number }
  | { kind: "denied"; code: string; detail: string };

interface Pending {
  resolve: (verdicts: Verdicts) => void;
  reject: (error: Error) => void;
}

/** A publish the daemon did not take now; `retryAfterMs` says when to come back. */
export class NotTaken extends Error {
  readonly code: string;
  readonly retryAfterMs: number;

  constructor(code: string, message: string, retryAfterMs: number) {
    super(message);
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }
}

export class Feed {
  private socket: WebSocket | undefined;
  private room: string;
  private welcomed = false;
  private failures = 0;
  private attempt = 0;
  private polling = false;
  private stopped = true;
  private retryAtMs = 0;
  private nextId = 1;
  private heardAtMs = 0;
  private asked = false;
  private timers = new Map<string, ReturnType<typeof setTimeout>>();
  private pending = new Map<number, Pending>();
  private readonly url: string;
  private readonly emit: (event: FeedEvent) => void;
  private readonly sinceOf: (room: string) => number | undefined;

  constructor(
    url: string,
    room: string,
    emit: (event: FeedEvent) => void,
    sinceOf: (room: string) => number | undefined,
  ) {
    this.url = url;
    this.room = room;
    this.emit = emit;
    this.sinceOf = sinceOf;
  }

  start(): void {
    this.stopped = false;
    this.connect();
  }

  stop(): void {
    this.stopped = true;
    this.polling = false;
    for (const timer of this.timers.values()) clearTimeout(timer);
    this.timers.clear();
    this.drop();
  }

  /** Tries again now: the person asked, the page came back to the front, or the network did. */
  nudge(): void {
    if (this.stopped) {
      this.start();
      return;
    }
    if (this.socket) return;
    this.clear("retry");
    this.connect();
  }

  /** Watches another room instead; resumes where `sinceOf` says. */
  watch(room: string): void {
    if (room === this.room) return;
    const before = this.room;
    this.room = room;
    if (this.welcomed) {
      this.send({ op: "unsubscribe", rooms: [before] });
      this.subscribe();
    } else if (this.polling) {
      this.clear("poll");
      void this.poll();
    }
  }

  /** Asks for the room again from the last tick it has: what came did not fit what was there. */
  resync(): void {
    if (this.welcomed) this.subscribe();
  }

  get canPublish(): boolean {
    return (this.welcomed || this.polling) && this.pending.size < MAX_IN_FLIGHT;
  }

  /** Sends events on the socket, or over REST while polling; settles with the daemon's verdicts. */
  publish(events: NewEvent[]): Promise<Verdicts> {
    if (this.welcomed) {
      const id = this.nextId++;
      return new Promise((resolve, reject) => {
        this.pending.set(id, { resolve, reject });
        this.send({ op: "publish", id, events });
      });
    }
    if (this.polling) return postEvents(events);
    return Promise.reject(new NotTaken("offline", "no connection", 1_000));
  }

  private connect(): void {
    if (this.stopped || this.socket) return;
    this.emit({ kind: "connecting", attempt: this.attempt });
    let socket: WebSocket;
    try {
      socket = new WebSocket(this.url, SUBPROTOCOL);
    } catch {
      this.lost("the browser refuses to open a socket");
      return;
    }
    this.socket = socket;
    this.after("welcome", WELCOME_TIMEOUT_MS, () => this.leave("the daemon says nothing"));
    socket.onmessage = (event) => {
      if (socket === this.socket) this.receive(decode(event.data));
    };
    socket.onclose = (event) => {
      if (socket === this.socket) this.closed(event.code, event.reason);
    };
  }

  private receive(message: ServerMessage | undefined): void {
    if (!message) return;
    this.heardAtMs = Date.now();
    this.asked = false;
    if (message.op === "welcome") {
      this.clear("welcome");
      this.clear("poll");
      this.welcomed = true;
      this.polling = false;
      this.failures = 0;
      this.subscribe();
      this.listen();
    } else if (message.op === "snapshot") {
      // A daemon that greets and then fails is still failing: only a picture ends the backoff.
      this.attempt = 0;
    } else if (message.op === "ack" || (message.op === "error" && message.id !== undefined)) {
      this.settle(message);
      return;
    }
    this.emit({ kind: "message", message });
  }

  private settle(message: ServerMessage): void {
    if (message.op !== "ack" && message.op !== "error") return;
    const pending = this.pending.get(message.id ?? -1);
    if (!pending) return;
    this.pending.delete(message.id ?? -1);
    if (message.op === "ack") pending.resolve(message);
    else pending.reject(new NotTaken(message.code, message.message, message.retryAfterMs ?? 1_000));
  }

  private subscribe(): void {
    const since = this.sinceOf(this.room);
    this.send({
      op: "subscribe",
      rooms: [this.room],
      ...(since === undefined ? {} : { since: { [this.room]: since } }),
    });
  }

  /** Notices a connection that died without saying so. */
  private listen(): void {
    this.after("silence", 1_000, () => {
      const silentMs = Date.now() - this.heardAtMs;
      if (silentMs > 2 * SILENCE_MS && this.asked) return this.leave("the connection went silent");
      if (silentMs > SILENCE_MS && !this.asked) {
        this.asked = true;
        this.send({ op: "ping", id: this.nextId++ });
      }
      this.listen();
    });
  }

  private leave(reason: string): void {
    this.drop();
    this.lost(reason);
  }

  private drop(): void {
    const socket = this.socket;
    this.socket = undefined;
    this.welcomed = false;
    this.clear("welcome");
    this.clear("silence");
    if (socket) {
      socket.onmessage = null;
      socket.onclose = null;
      socket.close();
    }
    for (const pending of this.pending.values()) {
      pending.reject(new NotTaken("offline", "the connection was lost before the answer", 1_000));
    }
    this.pending.clear();
  }

  private closed(code: number, reason: string): void {
    const greeted = this.welcomed;
    this.drop();
    if (code === POLICY_CLOSE) {
      this.stop();
      this.emit({ kind: "denied", code: "policy", detail: reason || "the daemon closed the connection" });
      return;
    }
    if (code === 1001 || code === 1012) this.lost("the daemon is restarting");
    else if (greeted) this.lost(reason || "the connection was lost");
    else this.lost(`no answer from ${new URL(this.url).host}`);
  }

  private lost(reason: string): void {
    if (this.stopped) return;
    this.failures += 1;
    this.attempt += 1;
    const waitMs = backoffMs(this.attempt, Math.random());
    this.retryAtMs = Date.now() + waitMs;
    this.after("retry", waitMs, () => this.connect());
    if (this.polling) return;
    this.emit({ kind: "lost", attempt: this.attempt, retryAtMs: this.retryAtMs, reason });
    if (this.failures >= ATTEMPTS_BEFORE_POLLING) void this.poll();
  }

  /** One poll, and the next in two seconds for as long as there is neither socket nor refusal. */
  private async poll(): Promise<void> {
    this.clear("poll");
    const room = this.room;
    const since = this.sinceOf(room);
    try {
      const snapshot = await getAggregates(windowOf(room), since === undefined ? {} : { since });
      if (this.stopped || this.welcomed) return;
      this.polling = true;
      if (room === this.room) {
        this.emit({
          kind: "polled",
          snapshot: { ...snapshot, room },
          attempt: this.attempt,
          retryAtMs: this.retryAtMs,
        });
      }
      this.after("poll", POLL_MS, () => void this.poll());
    } catch (error) {
      if (this.stopped || this.welcomed) return;
      if (error instanceof Refused && REFUSALS.has(error.problem.status)) {
        this.stop();
        this.emit({ kind: "denied", code: error.problem.code, detail: error.problem.detail });
        return;
      }
      if (this.polling) {
        this.polling = false;
        this.emit({
          kind: "lost",
          attempt: this.attempt,
          retryAtMs: this.retryAtMs,
          reason: "the daemon does not answer",
        });
      }
    }
  }

  private send(message: ClientMessage): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  private after(name: string, ms: number, run: () => void): void {
    this.clear(name);
    this.timers.set(name, setTimeout(run, ms));
  }

  private clear(name: string): void {
    clearTimeout(this.timers.get(name));
    this.timers.delete(name);
  }
}
