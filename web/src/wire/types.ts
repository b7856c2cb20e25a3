// The names the page uses for the generated wire types, and the few shapes that are the browser's own.
// A field that has no value is absent, never null: null occurs in history columns (nothing to measure) and in
// merge patches (the field is gone).

import type * as generated from "./generated";

export type {
  Ack,
  Aggregate,
  ClientMessage,
  Delta,
  ErrorMessage,
  History,
  Nodes,
  Notice,
  Rejection,
  RouteRow,
  ServerMessage,
  Snapshot,
  Welcome,
} from "./generated";

export type NewEvent = generated.EventInput;
export type Cell = number | null;
export type MergePatch = { [key: string]: unknown };

/** What became of a batch, over either way in. */
export type Verdicts = Pick<generated.Ack, "accepted" | "duplicates" | "rejected" | "rejectedTotal">;

/** RFC 9457, with the daemon's stable code. */
export interface Problem {
  status: number;
  code: string;
  title: string;
  detail: string;
}
