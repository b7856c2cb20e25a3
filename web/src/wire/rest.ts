// The REST calls the page makes: the snapshot it polls when there is no socket, and posting demo events then. Each
// takes the headers that say who asks.

import { asSnapshot } from "./decode";
import { filterOf, windowOf } from "./rooms";
import type { NewEvent, Problem, Snapshot, Verdicts } from "./types";

const TIMEOUT_MS = 8_000;
/** What is waited where a refusal may pass and does not say when. */
const RETRY_MS = 5_000;
const RETRY_MAX_MS = 120_000;

export type Headers = Record<string, string>;

/** The daemon answered, and refused. Anything else that fails is a network error. */
export class Refused extends Error {
  readonly problem: Problem;
  readonly code: string;
  readonly retryAfterMs: number;

  constructor(problem: Problem, retryAfterMs: number) {
    super(problem.detail);
    this.problem = problem;
    this.code = problem.code;
    this.retryAfterMs = retryAfterMs;
  }

  /** Whether the same question is answered later: a rate is used up, or the daemon is busy. */
  get passes(): boolean {
    return this.problem.status === 429 || this.code === "busy";
  }

  /** Whether asking again changes nothing: no token, not this machine, no such window. */
  get isFinal(): boolean {
    return [401, 403, 422].includes(this.problem.status);
  }

  /** Whether another token would be answered. */
  get asksForToken(): boolean {
    return this.problem.status === 401 || this.code === "wrong_scope" || this.code === "wrong_site";
  }
}

/** Retry-After in milliseconds: it gives seconds or a date. */
export function retryAfterMs(value: string | null, nowMs: number): number {
  if (!value) return RETRY_MS;
  const seconds = Number(value);
  const ms = Number.isFinite(seconds) ? seconds * 1_000 : Date.parse(value) - nowMs;
  return Number.isFinite(ms) ? Math.min(RETRY_MAX_MS, Math.max(0, ms)) : RETRY_MS;
}

async function refusalOf(response: Response): Promise<Refused> {
  const { status } = response;
  const bare = { status, code: `http_${status}`, title: response.statusText };
  const detail = `the daemon answered ${status}`;
  const wait = retryAfterMs(response.headers.get("retry-after"), Date.now());
  try {
    const body = (await response.json()) as Partial<Problem>;
    return new Refused({ ...bare, detail, ...body, status }, wait);
  } catch {
    return new Refused({ ...bare, detail }, wait);
  }
}

/** The newest snapshot of a room with its history after `since`, or the one of the tick `at`. */
export async function getAggregates(
  headers: Headers,
  room: string,
  ask: { since?: number; at?: number },
): Promise<Snapshot> {
  const query = new URLSearchParams({ window: windowOf(room) });
  const filter = filterOf(room);
  if (filter !== "") query.set("filter", filter);
  if (ask.since !== undefined) query.set("since", String(ask.since));
  if (ask.at !== undefined) query.set("at", String(ask.at));
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const response = await fetch(`/api/aggregates?${query}`, { headers, signal });
  if (!response.ok) throw await refusalOf(response);
  const snapshot = asSnapshot(await response.json());
  if (!snapshot) throw new Error("the answer is not a snapshot");
  return { ...snapshot, room };
}

/** The daemon's own figures: a number by name, or by name and labels. */
export async function getMetrics(headers: Headers): Promise<Record<string, number>> {
  const response = await fetch("/metrics", {
    headers: { ...headers, accept: "application/json" },
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  // The daemon has them always: this 404 is of what stands in front of it.
  if (response.status === 404)
    throw new Error(
      "what stands in front keeps /metrics to itself. Open the page at a daemon's own address.",
    );
  if (!response.ok) throw await refusalOf(response);
  return (await response.json()) as Record<string, number>;
}

/** Posts events in one batch; the answer comes once they are on disk. */
export async function postEvents(headers: Headers, events: NewEvent[]): Promise<Verdicts> {
  const response = await fetch("/api/events", {
    method: "POST",
    headers: { ...headers, "content-type": "application/json" },
    body: JSON.stringify(events),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const body = (await response
    .clone()
    .json()
    .catch(() => ({}))) as Partial<Verdicts>;
  if (typeof body.accepted === "number") {
    return {
      accepted: body.accepted,
      duplicates: body.duplicates ?? 0,
      rejected: body.rejected ?? [],
      rejectedTotal: body.rejectedTotal ?? 0,
    };
  }
  throw await refusalOf(response);
}
