// The socket's and REST's shapes, as the contract states them. A field that has no value is absent, never null:
// null occurs in history columns (nothing to measure) and in merge patches (the field is gone).

export type Cell = number | null;

export interface RouteRow {
  route: string;
  events: number;
  errors: number;
  errorRate?: number;
  p95?: number;
}

export interface Latency {
  count: number;
  p50: number;
  p95: number;
  p99: number;
  max: number;
}

export interface Aggregate {
  window: string;
  tick: number;
  from: number;
  to: number;
  events: number;
  eventsPerSecond: number;
  activeUsers: number;
  activeSessions: number;
  errors: number;
  errorRate?: number;
  statusClasses: Record<string, number>;
  types: Record<string, number>;
  latencyMs?: Latency;
  topRoutes: RouteRow[];
  otherRoutes: { routes: number; events: number; errors: number };
  late: number;
  skewed: number;
  lastEventAt?: number;
  behindMs: number;
  nodes: { reporting: number; expected: number };
}

export interface History {
  tick: number[];
  events: Cell[];
  activeUsers: Cell[];
  errors: Cell[];
  statusClasses: Record<string, Cell[]>;
  p50: Cell[];
  p95: Cell[];
  p99: Cell[];
}

export interface Welcome {
  op: "welcome";
  protocol: number;
  node: string;
  tick: number;
  windows: string[];
  auth: "required" | "ok" | "dev";
  scope: string;
  limits: { publishBytes: number; eventsPerSecond: number; rooms: number };
}

export interface Snapshot {
  op: "snapshot";
  room: string;
  tick: number;
  aggregate: Aggregate;
  history?: History;
  historyFrom?: number;
  corrections?: History;
  lagged: number;
  id?: number;
}

export interface Delta {
  op: "delta";
  room: string;
  tick: number;
  base: number;
  aggregate: MergePatch;
  corrections?: History;
}

export interface Rejection {
  index: number;
  code: string;
  message: string;
  field?: string;
}

export interface Verdicts {
  accepted: number;
  duplicates: number;
  rejected: Rejection[];
  rejectedTotal: number;
}

export interface Ack extends Verdicts {
  op: "ack";
  id: number;
}

export interface WireError {
  op: "error";
  id?: number;
  room?: string;
  code: string;
  message: string;
  retryAfterMs?: number;
}

export interface Pong {
  op: "pong";
  id: number;
}

export interface Unsubscribed {
  op: "unsubscribed";
  room: string;
}

export type ServerMessage = Welcome | Snapshot | Delta | Ack | WireError | Pong | Unsubscribed;

export type MergePatch = { [key: string]: unknown };

/** What one event carries; the daemon makes an id where there is none. */
export interface NewEvent {
  eventId?: string;
  type: string;
  route: string;
  timestamp?: number;
  userId?: string;
  sessionId?: string;
  clientId?: string;
  status?: number;
  error?: boolean;
  latencyMs?: number;
}

export type ClientMessage =
  | { op: "subscribe"; rooms: string[]; since?: Record<string, number> }
  | { op: "unsubscribe"; rooms: string[] }
  | { op: "publish"; id: number; events: NewEvent[] }
  | { op: "ping"; id: number };

/** RFC 9457, with the daemon's stable code. */
export interface Problem {
  status: number;
  code: string;
  title: string;
  detail: string;
}
