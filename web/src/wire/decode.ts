// Text frames into messages. What is not a message of ours is undefined: a newer daemon may say more than we know.

import type { ServerMessage, Snapshot } from "./types";

const KNOWN = new Set(["welcome", "snapshot", "delta", "ack", "error", "pong", "unsubscribed"]);

export function decode(text: unknown): ServerMessage | undefined {
  if (typeof text !== "string") return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const op = (value as { op?: unknown }).op;
  return typeof op === "string" && KNOWN.has(op) ? (value as ServerMessage) : undefined;
}

/** A REST answer as a snapshot, or undefined when it is something else. */
export function asSnapshot(value: unknown): Snapshot | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const snapshot = value as Snapshot;
  const usable = typeof snapshot.tick === "number" && typeof snapshot.aggregate === "object";
  return usable ? { ...snapshot, lagged: snapshot.lagged ?? 0 } : undefined;
}
