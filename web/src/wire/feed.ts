// The connection to the daemon: one socket, retried for ever with backoff, and REST polling for as long as a socket
// cannot be had. It presents the token, keeps no numbers, asks `sinceOf` where to resume and hands every message on.
// Only this folder touches WebSocket or fetch.

import { backoffMs } from "./backoff";
import { Credentials } from "./credentials";
import { decode } from "./decode";
import { Poller } from "./poller";
import { NotTaken, Publishes } from "./publishes";
import { getAggregates, getMetrics, postEvents, type Refused } from "./rest";
import { filterOf } from "./rooms";
import { Silence } from "./silence";
import { allows } from "./token";
import type {
  ClientMessage,
  ErrorMessage,
  NewEvent,
  ServerMessage,
  Snapshot,
  Verdicts,
  Welcome,
} from "./types";

const SUBPROTOCOL = "pulseboard.v1";
/** A socket that opens but says nothing (a proxy that swallows upgrades) is given up after this. */
const WELCOME_TIMEOUT_MS = 5_000;
/** Each attempt is given more time, up to this: a slow way must not end every one of them just before its welcome. */
const WELCOME_TIMEOUT_MAX_MS = 20_000;
/** Attempts without a welcome before REST is tried: one may be bad luck. */
const ATTEMPTS_BEFORE_POLLING = 2;
const POLICY_CLOSE = 1008;
const NEEDED = "this daemon answers those who present a token";

export type FeedEvent =
  | { kind: "connecting"; attempt: number }
  | { kind: "message"; message: ServerMessage }
  | { kind: "lost"; attempt: number; retryAtMs: number; reason: string }
  /** `unopened`: REST answers, and yet no socket opens. */
  | { kind: "polled"; snapshot: Snapshot; everyMs: number; unopened: boolean }
  /** Polling waits for the daemon's limit. */
  | { kind: "slowed"; nextAtMs: number }
  /** The token offered was not taken; the one before it holds. */
  | { kind: "refused"; code: string; detail: string }
  /** The room of a filter cannot be had: what is wrong with the filter, or that there are too many. */
  | { kind: "barred"; room: string; detail: string }
  /** The daemon does not answer us. `asks`: it would with a token, or another one. */
  | { kind: "denied"; code: string; detail: string; asks: boolean };

/** Whether a code of the daemon is about the token, not about what was asked. */
function isAboutToken(code: string): boolean {
  return (
    code === "unauthorized" || code === "wrong_scope" || code === "wrong_site" || code.startsWith("token_")
  );
}

/** The code a close gives as its reason, where it is one. */
function codeOf(reason: string): string | undefined {
  return isAboutToken(reason) ? reason : undefined;
}

export class Feed {
  private socket: WebSocket | undefined;
  private room: string;
  private opened = false;
  private welcomed = false;
  /** A token was sent and not yet answered. */
  private presented = false;
  /** A renewal was not taken on this socket: a close that follows is about it, not about the token before. */
  private renewalRefused = false;
  /** What the daemon complained about last, on this socket: a close says less. */
  private complaint: ErrorMessage | undefined;
  private devMode = false;
  private failures = 0;
  private attempt = 0;
  private polling = false;
  private stopped = true;
  private retryAtMs = 0;
  private nextId = 1;
  private timers = new Map<string, ReturnType<typeof setTimeout>>();
  private readonly publishes = new Publishes();
  private readonly credentials = new Credentials();
  private readonly poller: Poller;
  private readonly silence = new Silence(
    () => this.send({ op: "ping", id: this.nextId++ }),
    () => this.leave("the connection went silent"),
  );
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
    this.poller = new Poller(this.credentials, sinceOf, {
      answered: (snapshot, everyMs) => {
        this.polling = true;
        this.credentials.taken();
        this.emit({ kind: "polled", snapshot, everyMs, unopened: !this.opened });
      },
      slowed: (nextAtMs) => {
        this.polling = true;
        this.emit({ kind: "slowed", nextAtMs });
      },
      refused: (refusal) => this.refusedByRest(refusal),
      failed: () => this.pollingFailed(),
    });
  }

  start(): void {
    this.stopped = false;
    this.connect();
  }

  stop(): void {
    this.stopped = true;
    this.endPolling();
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

  /**
   * Presents a token: on the open socket, where there is one, without touching what it shows. `afresh`: on a new one,
   * for a token that may see something else.
   */
  offer(token: string, afresh = false): void {
    const wasPolling = this.polling || this.failures >= ATTEMPTS_BEFORE_POLLING;
    this.credentials.offer(token);
    if (afresh) this.drop();
    if (this.welcomed) this.present();
    else if (!this.presented) this.nudge();
    if (!this.welcomed && wasPolling) this.poller.start(this.room);
  }

  /** Forgets the token and leaves. */
  forget(): void {
    this.credentials.forget();
    this.deny("unauthorized", NEEDED, true);
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
      this.poller.start(room);
    }
  }

  /** Asks for the room again from the last tick it has: what came did not fit what was there. */
  resync(): void {
    if (this.welcomed) this.subscribe();
  }

  /** A snapshot over REST, for what the socket is not asked: a moment of the past. */
  aggregates(room: string, ask: { since?: number; at?: number }): Promise<Snapshot> {
    return getAggregates(this.credentials.headers(), room, ask);
  }

  /** The daemon's own figures, over REST: they are of no room. */
  metrics(): Promise<Record<string, number>> {
    return getMetrics(this.credentials.headers());
  }

  get canPublish(): boolean {
    return (this.welcomed || this.polling) && this.publishes.hasRoom;
  }

  /** Sends events on the socket, or over REST while polling; settles with the daemon's verdicts. */
  publish(events: NewEvent[]): Promise<Verdicts> {
    if (this.welcomed) {
      const id = this.nextId++;
      this.send({ op: "publish", id, events });
      return this.publishes.sent(id);
    }
    if (this.polling) return postEvents(this.credentials.headers(), events);
    return Promise.reject(new NotTaken("offline", "no connection"));
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
    this.opened = false;
    this.awaitWelcome();
    socket.onopen = () => {
      this.opened = true;
    };
    socket.onmessage = (event) => {
      if (socket === this.socket) this.receive(decode(event.data));
    };
    socket.onclose = (event) => {
      if (socket === this.socket) this.closed(event.code, event.reason);
    };
  }

  private awaitWelcome(): void {
    const patienceMs = Math.min(WELCOME_TIMEOUT_MAX_MS, WELCOME_TIMEOUT_MS * (1 + this.attempt));
    this.after("welcome", patienceMs, () => this.leave("the daemon says nothing"));
  }

  private receive(message: ServerMessage | undefined): void {
    if (!message) return;
    this.silence.heard();
    if (message.op === "welcome") {
      this.emit({ kind: "message", message });
      this.welcome(message);
      return;
    }
    if (message.op === "snapshot") {
      // A daemon that greets and then fails is still failing: only a picture ends the backoff.
      this.attempt = 0;
    } else if (message.op === "ack" || (message.op === "error" && message.id !== undefined)) {
      this.publishes.settle(message);
      return;
    } else if (message.op === "error") {
      this.complained(message);
      return;
    }
    this.emit({ kind: "message", message });
  }

  /** Something was refused that was no publish: the token, or the room. */
  private complained(complaint: ErrorMessage): void {
    const { code, message, room, retryAfterMs } = complaint;
    const aboutToken = isAboutToken(code);
    if (aboutToken) this.complaint = complaint;
    if (aboutToken && (this.presented || !this.welcomed)) this.notTaken(code, message);
    else if (room !== this.room) return;
    else if (filterOf(room) !== "" && !aboutToken) this.emit({ kind: "barred", room, detail: message });
    else if (retryAfterMs === undefined) this.deny(code, message, aboutToken);
    else this.leave(message);
  }

  private welcome({ auth, scope }: Welcome): void {
    this.clear("welcome");
    this.devMode = auth === "dev";
    if (auth === "required") {
      if (this.credentials.token === undefined) {
        this.deny("unauthorized", NEEDED, true);
        return;
      }
      this.awaitWelcome();
      this.present();
      return;
    }
    this.presented = false;
    this.complaint = undefined;
    if (auth === "ok" && !allows(scope, "read")) {
      this.drop();
      this.notTaken("wrong_scope", `watching needs the scope read; this token has: ${scope || "none"}`);
      return;
    }
    if (auth === "ok") this.credentials.taken();
    this.endPolling();
    this.failures = 0;
    // A renewal is answered by a welcome too: what is watched goes on.
    if (this.welcomed) return;
    this.welcomed = true;
    this.subscribe();
    this.silence.start();
  }

  private present(): void {
    const { token } = this.credentials;
    if (token === undefined) return;
    this.presented = true;
    this.send({ op: "auth", token });
  }

  /** The token presented is no good: the one before it goes on, or a person has to bring another. */
  private notTaken(code: string, detail: string): void {
    this.presented = false;
    if (this.credentials.refused()) {
      this.renewalRefused = this.socket !== undefined;
      this.emit({ kind: "refused", code, detail });
      this.nudge();
    } else this.deny(code, detail, true);
  }

  private refusedByRest({ problem, asksForToken }: Refused): void {
    const { room } = this;
    if (asksForToken) this.notTaken(problem.code, problem.detail);
    else if (problem.status === 422 && filterOf(room) !== "") {
      this.emit({ kind: "barred", room, detail: problem.detail });
      return;
    } else this.deny(problem.code, problem.detail, false);
    if (!this.stopped && !this.welcomed) this.poller.start(this.room);
  }

  private deny(code: string, detail: string, asks: boolean): void {
    this.stop();
    this.emit({ kind: "denied", code, detail, asks });
  }

  private subscribe(): void {
    const since = this.sinceOf(this.room);
    this.send({
      op: "subscribe",
      rooms: [this.room],
      ...(since === undefined ? {} : { since: { [this.room]: since } }),
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
    this.presented = false;
    this.renewalRefused = false;
    this.complaint = undefined;
    this.clear("welcome");
    this.silence.stop();
    if (socket) {
      socket.onopen = null;
      socket.onmessage = null;
      socket.onclose = null;
      socket.close();
    }
    this.publishes.giveBack();
  }

  private closed(code: number, reason: string): void {
    const { welcomed: greeted, renewalRefused, complaint, devMode } = this;
    this.drop();
    if (code === POLICY_CLOSE) {
      const said =
        complaint?.message ?? (codeOf(reason) || !reason ? "the daemon closed the connection" : reason);
      if (renewalRefused) this.connect();
      else if (devMode) this.deny("policy", said, false);
      // A session that was let in and is closed has outlived its token.
      else
        this.notTaken(
          complaint?.code ?? codeOf(reason) ?? (greeted ? "token_expired" : "unauthorized"),
          said,
        );
    } else if (code === 1001 || code === 1012) this.lost("the daemon is restarting");
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
    if (this.failures >= ATTEMPTS_BEFORE_POLLING) this.poller.start(this.room);
  }

  private pollingFailed(): void {
    if (!this.polling) return;
    this.polling = false;
    const { attempt, retryAtMs } = this;
    this.emit({ kind: "lost", attempt, retryAtMs, reason: "the daemon does not answer" });
  }

  private endPolling(): void {
    this.polling = false;
    this.poller.stop();
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
