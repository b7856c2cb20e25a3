// Batches sent on the socket and not yet answered: each is settled by its own answer, or given back when the
// connection goes. Knows no socket.

import type { Ack, ErrorMessage, Verdicts } from "./types";

/** The daemon pauses our reading past 64. */
const MAX_IN_FLIGHT = 32;

interface Pending {
  resolve: (verdicts: Verdicts) => void;
  reject: (error: Error) => void;
}

/** A publish the daemon did not take now; `retryAfterMs` says when to come back. */
export class NotTaken extends Error {
  readonly code: string;
  readonly retryAfterMs: number;

  constructor(code: string, message: string, retryAfterMs = 1_000) {
    super(message);
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }
}

export class Publishes {
  private readonly pending = new Map<number, Pending>();

  get hasRoom(): boolean {
    return this.pending.size < MAX_IN_FLIGHT;
  }

  sent(id: number): Promise<Verdicts> {
    return new Promise((resolve, reject) => {
      this.pending.set(id, { resolve, reject });
    });
  }

  settle(answer: ({ op: "ack" } & Ack) | ({ op: "error" } & ErrorMessage)): void {
    const id = answer.id ?? -1;
    const pending = this.pending.get(id);
    this.pending.delete(id);
    if (answer.op === "ack") pending?.resolve(answer);
    else pending?.reject(new NotTaken(answer.code, answer.message, answer.retryAfterMs));
  }

  giveBack(): void {
    for (const { reject } of this.pending.values()) {
      reject(new NotTaken("offline", "the connection was lost before the answer"));
    }
    this.pending.clear();
  }
}
