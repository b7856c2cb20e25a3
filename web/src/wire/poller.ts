// Asks REST for the room every two seconds, for as long as there is no socket. A daemon that says "too often" is asked
// less often, and what is waited for is said. It knows no socket; the feed starts and stops it.

import type { Credentials } from "./credentials";
import { getAggregates, Refused } from "./rest";
import type { Snapshot } from "./types";

const POLL_MS = 2_000;
/** However often the daemon complains, a question every half a minute is asked. */
const POLL_MAX_MS = 30_000;
/** Each answer lets the pace recover by so much. */
const RECOVERY = 0.85;

export interface Polled {
  answered: (snapshot: Snapshot, everyMs: number) => void;
  /** The daemon's limit: asked again at `nextAtMs`. */
  slowed: (nextAtMs: number) => void;
  refused: (refusal: Refused) => void;
  /** There is no answer: polling is over. */
  failed: () => void;
}

export class Poller {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private everyMs = POLL_MS;
  /** Which question is the current one: an answer to an earlier one is not looked at. */
  private turn = 0;
  private readonly credentials: Credentials;
  private readonly sinceOf: (room: string) => number | undefined;
  private readonly told: Polled;

  constructor(credentials: Credentials, sinceOf: (room: string) => number | undefined, told: Polled) {
    this.credentials = credentials;
    this.sinceOf = sinceOf;
    this.told = told;
  }

  /** Asks for `room` now, and from then on. */
  start(room: string): void {
    this.stop();
    void this.ask(room, this.turn);
  }

  stop(): void {
    this.turn += 1;
    clearTimeout(this.timer);
  }

  private async ask(room: string, turn: number): Promise<void> {
    const again = (ms: number) => {
      this.timer = setTimeout(() => void this.ask(room, turn), ms);
    };
    const since = this.sinceOf(room);
    try {
      const headers = this.credentials.headers();
      const snapshot = await getAggregates(headers, room, since === undefined ? {} : { since });
      if (turn !== this.turn) return;
      this.everyMs = Math.max(POLL_MS, Math.round(this.everyMs * RECOVERY));
      again(this.everyMs);
      this.told.answered(snapshot, this.everyMs);
    } catch (error) {
      if (turn !== this.turn) return;
      if (!(error instanceof Refused)) return this.told.failed();
      if (error.isFinal) return this.told.refused(error);
      if (!error.passes) return this.told.failed();
      this.everyMs = Math.min(POLL_MAX_MS, this.everyMs * 2);
      const waitMs = Math.max(this.everyMs, error.retryAfterMs);
      again(waitMs);
      this.told.slowed(Date.now() + waitMs);
    }
  }
}
