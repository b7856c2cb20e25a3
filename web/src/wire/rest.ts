// The REST calls the page makes: the snapshot it polls when there is no socket, and posting demo events then.

import { asSnapshot } from "./decode";
import type { NewEvent, Problem, Snapshot, Verdicts } from "./types";

const TIMEOUT_MS = 8_000;

/** The daemon answered, and refused. Anything else that fails is a network error. */
export class Refused extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.detail);
    this.problem = problem;
  }
}

async function problemOf(response: Response): Promise<Problem> {
  const bare = { status: response.status, code: `http_${response.status}`, title: response.statusText };
  try {
    const body = (await response.json()) as Partial<Problem>;
    return { ...bare, detail: `the daemon answered ${response.status}`, ...body };
  } catch {
    return { ...bare, detail: `the daemon answered ${response.status}` };
  }
}

/** The newest snapshot of a window with its history after `since`, or the one of the tick `at`. */
export async function getAggregates(window: string, ask: { since?: number; at?: number }): Promise<Snapshot> {
  const query = new URLSearchParams({ window });
  if (ask.since !== undefined) query.set("since", String(ask.since));
  if (ask.at !== undefined) query.set("at", String(ask.at));
  const response = await fetch(`/api/aggregates?${query}`, { signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (!response.ok) throw new Refused(await problemOf(response));
  const snapshot = asSnapshot(await response.json());
  if (!snapshot) throw new Error("the answer is not a snapshot");
  return snapshot;
}

/** Posts events in one batch; the answer comes once they are on disk. */
export async function postEvents(events: NewEvent[]): Promise<Verdicts> {
  const response = await fetch("/api/events", {
    method: "POST",
    headers: { "content-type": "application/json" },
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
  throw new Refused(await problemOf(response));
}
