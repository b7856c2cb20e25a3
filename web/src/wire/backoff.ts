// Exponential backoff with full jitter: many dashboards that lost one daemon must not come back as one.

const BASE_MS = 500;
const CAP_MS = 15_000;
/** Even the luckiest draw leaves the daemon time to answer the last attempt. */
const FLOOR_MS = 100;

/** How long to wait before attempt `attempt` (1 is the first retry); `random` is in 0..1. */
export function backoffMs(attempt: number, random: number): number {
  const ceiling = Math.min(CAP_MS, BASE_MS * 2 ** Math.min(attempt, 10));
  return Math.round(FLOOR_MS + random * (ceiling - FLOOR_MS));
}
