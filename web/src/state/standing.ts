// What is said beside the numbers: how many instances they are of, and what the daemon finds not as it should be.
// Always of now, also while a picture is held. Pure.

import type { Nodes, Notice } from "../wire/types";
import { chosenRoom, isCurrent, type State } from "./state";

export interface Standing {
  /** `2 of 3`, `alone`; nothing where there was never more than one. */
  instances: string | undefined;
  /** Whether instances are missing. */
  missing: boolean;
  notices: Notice[];
}

const NOTHING_KNOWN: Standing = { instances: undefined, missing: false, notices: [] };

export function standingOf(state: State): Standing {
  const { notices = [], nodes } = state.rooms[chosenRoom(state)]?.aggregate ?? {};
  // What was so before the connection was lost may be otherwise by now.
  if (!nodes || !isCurrent(state)) return NOTHING_KNOWN;
  return { ...instancesOf(nodes, notices, state.clustered), notices };
}

function instancesOf(nodes: Nodes, notices: Notice[], clustered: boolean) {
  const { reporting, expected } = nodes;
  if (expected <= 1 && !clustered) return { instances: undefined, missing: false };
  if (expected <= 1 && notices.some(({ check }) => check === "cluster"))
    return { instances: "alone", missing: true };
  return { instances: `${reporting} of ${expected}`, missing: reporting < expected };
}

/** `2 of 3 instances`, `alone`. */
export function inWords(instances: string): string {
  return instances === "alone" ? instances : `${instances} instances`;
}

/** A notice's few words, with the sign that goes with its colour. */
export function briefOf({ level, brief, check }: Notice): string {
  return `${level === "failed" ? "!!" : "!"} ${brief || check}`;
}

/** What a screen reader is told: without numbers, so that it is told again when the words change and not before. */
export function spoken({ instances, missing, notices }: Standing): string {
  const briefs = notices.map(({ brief, check }) =>
    (brief || check).replace(/\s*\d[\d.,]*( [kMG])?\s*/g, " "),
  );
  return [...(missing && instances ? [inWords(instances)] : []), ...briefs].join("; ");
}
