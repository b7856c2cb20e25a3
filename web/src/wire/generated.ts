// Generated from src/wire by `UPDATE_TYPES=1 cargo test -p pulseboard typescript`. Do not edit.

export type ClientMessage = { "op": "auth", 
/**
 * The JWT.
 */
token: string, } | { "op": "subscribe", 
/**
 * `window:5s`, `window:60s?filter=…`, `tail`, `system`.
 */
rooms: Array<string>, 
/**
 * For each room the newest tick the client holds: its snapshot's history starts after.
 */
since?: { [key in string]: number }, } | { "op": "unsubscribe", 
/**
 * The rooms as they were written in `subscribe`.
 */
rooms: Array<string>, } | { "op": "get", 
/**
 * Echoed in the answer.
 */
id?: number, 
/**
 * The room.
 */
room: string, 
/**
 * The tick.
 */
at: number, } | { "op": "publish", 
/**
 * Echoed in the answer.
 */
id?: number, 
/**
 * An array of event objects.
 */
events: EventInput[], } | { "op": "ping", 
/**
 * Echoed in the answer.
 */
id?: number, };

export type EventInput = { 
/**
 * 1..128 bytes; the daemon makes one where it is missing.
 */
eventId?: string, 
/**
 * 1..64 bytes.
 */
type: string, 
/**
 * 1..512 bytes.
 */
route: string, 
/**
 * Unix ms.
 */
timestamp?: number, 
/**
 * 1..128 bytes.
 */
userId?: string, 
/**
 * 1..128 bytes.
 */
sessionId?: string, 
/**
 * 1..128 bytes.
 */
clientId?: string, 
/**
 * 100..599.
 */
status?: number, 
/**
 * Whether it is an error whatever its status.
 */
error?: boolean, 
/**
 * 0..86,400,000.
 */
latencyMs?: number, 
/**
 * `[a-z0-9._-]{1,64}`.
 */
site?: string, 
/**
 * At most 32 scalars.
 */
props?: Record<string, string | number | boolean>, };

export type ServerMessage = { "op": "welcome" } & Welcome | { "op": "snapshot" } & Snapshot | { "op": "delta" } & Delta | { "op": "tail", 
/**
 * The room as subscribed.
 */
room: string, 
/**
 * At most 100 a second.
 */
events: Array<StoredEvent>, 
/**
 * Matching events left out since the last message.
 */
skipped: number, } | { "op": "system", 
/**
 * `system`.
 */
room: string, 
/**
 * The newest tick.
 */
tick: number, 
/**
 * By metric name.
 */
metrics: { [key in string]: number }, } | { "op": "unsubscribed", 
/**
 * The room as subscribed.
 */
room: string, } | { "op": "ack" } & Ack | { "op": "error" } & ErrorMessage | { "op": "pong", 
/**
 * As sent.
 */
id?: number, };

export type Welcome = { 
/**
 * [`super::PROTOCOL`].
 */
protocol: number, 
/**
 * The instance's name.
 */
node: string, 
/**
 * The newest tick.
 */
tick: number, 
/**
 * The windows there are rooms for, `1s` first.
 */
windows: Array<string>, 
/**
 * Whether a token is needed, was taken, or nobody asks for one.
 */
auth: AuthState, 
/**
 * What this session may do, space-separated.
 */
scope: string, 
/**
 * What this session should keep to.
 */
limits: WelcomeLimits, };

export type AuthState = "required" | "ok" | "dev";

export type WelcomeLimits = { 
/**
 * The largest frame, in bytes.
 */
publishBytes: number, 
/**
 * Events a second; absent where no rate applies.
 */
eventsPerSecond?: number, 
/**
 * Rooms this socket may be in.
 */
rooms: number, };

export type Snapshot = { 
/**
 * The room as subscribed; over REST `window:5s`.
 */
room: string, 
/**
 * The tick this is.
 */
tick: number, 
/**
 * The window's numbers.
 */
aggregate: Aggregate, 
/**
 * The ticks the client missed, or the last 300.
 */
history?: History, 
/**
 * The first tick of `history`.
 */
historyFrom?: number, 
/**
 * Columns for ticks at or before the client's `since` that changed meanwhile: overwrite.
 */
corrections?: History, 
/**
 * Ticks this session was not sent because it was not reading.
 */
lagged: number, 
/**
 * Of the `get` this answers.
 */
id?: number, };

export type Delta = { 
/**
 * The room as subscribed.
 */
room: string, 
/**
 * The tick this leads to.
 */
tick: number, 
/**
 * The tick it starts from: always `tick - 1`.
 */
base: number, 
/**
 * A JSON merge patch (RFC 7396) of the aggregate.
 */
aggregate: Record<string, unknown>, 
/**
 * Columns for earlier ticks that changed: overwrite.
 */
corrections?: History, };

export type Aggregate = { 
/**
 * `1s`, `5s`, `60s`.
 */
window: string, 
/**
 * The newest tick in it.
 */
tick: number, 
/**
 * Its start, Unix ms, inclusive.
 */
from: number, 
/**
 * Its end, Unix ms, exclusive.
 */
to: number, 
/**
 * Events in it.
 */
events: number, 
/**
 * Events divided by the window's length in seconds.
 */
eventsPerSecond: number, 
/**
 * Distinct userId, else sessionId, else clientId.
 */
activeUsers: number, 
/**
 * Distinct sessionId.
 */
activeSessions: number, 
/**
 * Events that are errors.
 */
errors: number, 
/**
 * Errors per event, 0..1; absent without events.
 */
errorRate?: number, 
/**
 * Events by `1xx`..`5xx`; classes without events are absent.
 */
statusClasses: { [key in string]: number }, 
/**
 * Events by type.
 */
types: { [key in string]: number }, 
/**
 * Latency of the events that carried one; absent without any.
 */
latencyMs?: Latency, 
/**
 * The 10 routes with the most events, then by name.
 */
topRoutes: Array<RouteRow>, 
/**
 * The rest together.
 */
otherRoutes: OtherRoutes, 
/**
 * Events that arrived in it too late for its ticks.
 */
late: number, 
/**
 * Events in it from clocks ahead of ours.
 */
skewed: number, 
/**
 * The newest event's time, Unix ms; absent before the first.
 */
lastEventAt?: number, 
/**
 * How far counting is behind accepting, ms; 0 when it keeps up.
 */
behindMs: number, 
/**
 * Instances in it.
 */
nodes: Nodes, 
/**
 * What is not as it should be with the instance that says this, now; absent when all is well.
 * At most [`Notice::MOST`].
 */
notices?: Array<Notice>, };

export type Latency = { 
/**
 * Events that carried a latency.
 */
count: number, 
/**
 * Median.
 */
p50: number, 
/**
 * 95th percentile.
 */
p95: number, 
/**
 * 99th percentile.
 */
p99: number, 
/**
 * The largest.
 */
max: number, };

export type RouteRow = { 
/**
 * As normalised.
 */
route: string, 
/**
 * Events.
 */
events: number, 
/**
 * Of these, errors.
 */
errors: number, 
/**
 * Errors per event, 0..1.
 */
errorRate: number, 
/**
 * 95th percentile of latency, ms; absent without any.
 */
p95?: number, };

export type OtherRoutes = { 
/**
 * How many routes; those a tick did not admit are not told apart and count as one.
 */
routes: number, 
/**
 * Their events.
 */
events: number, 
/**
 * Of these, errors.
 */
errors: number, };

export type Nodes = { 
/**
 * In the numbers.
 */
reporting: number, 
/**
 * Alive.
 */
expected: number, };

export type Notice = { 
/**
 * `journal`, `store`, `cluster`, `clock`.
 */
check: string, 
/**
 * How bad it is.
 */
level: NoticeLevel, 
/**
 * A few words, for where there is little room: at most [`Notice::BRIEF_BYTES`].
 */
brief: string, 
/**
 * What is wrong and what to do: at most [`Notice::DETAIL_BYTES`].
 */
detail: string, };

export type NoticeLevel = "degraded" | "failed";

export type History = { 
/**
 * The ticks, ascending.
 */
tick: Array<number>, 
/**
 * Events.
 */
events: Array<number | null>, 
/**
 * Active users.
 */
activeUsers: Array<number | null>, 
/**
 * Errors.
 */
errors: Array<number | null>, 
/**
 * Events by status class, `1xx`..`5xx`; a class that never occurs in the span is absent.
 */
statusClasses: { [key in string]: Array<number | null> }, 
/**
 * Median latency, ms.
 */
p50: Array<number | null>, 
/**
 * 95th percentile, ms.
 */
p95: Array<number | null>, 
/**
 * 99th percentile, ms.
 */
p99: Array<number | null>, 
/**
 * How many instances are in each tick's numbers. Absent when all of them are in every tick.
 */
reporting?: Array<number | null>, 
/**
 * How many there were, where `reporting` is given.
 */
expected?: Array<number | null>, };

export type Ack = { 
/**
 * Of the publish.
 */
id?: number, 
/**
 * New events, now on disk.
 */
accepted: number, 
/**
 * Events that had been taken before.
 */
duplicates: number, 
/**
 * The first 100 that were refused.
 */
rejected: Array<Rejection>, 
/**
 * All that were refused.
 */
rejectedTotal: number, };

export type Rejection = { 
/**
 * Its place in the batch, from 0.
 */
index: number, 
/**
 * Stable snake_case.
 */
code: string, 
/**
 * A sentence that names the rule.
 */
message: string, 
/**
 * The field at fault.
 */
field?: string, 
/**
 * When to try again, for codes that may pass.
 */
retryAfterMs?: number, };

export type ErrorMessage = { 
/**
 * Of the message at fault, where it had one.
 */
id?: number, 
/**
 * The room at fault.
 */
room?: string, 
/**
 * Stable snake_case.
 */
code: string, 
/**
 * A sentence that names the rule.
 */
message: string, 
/**
 * When to try again.
 */
retryAfterMs?: number, };

export type StoredEvent = { 
/**
 * As sent or made.
 */
eventId: string, 
/**
 * `type`.
 */
type: string, 
/**
 * As normalised.
 */
route: string, 
/**
 * Unix ms.
 */
timestamp: number, 
/**
 * When it arrived, Unix ms.
 */
storedAt: number, 
/**
 * `site`.
 */
site: string, 
/**
 * `userId`.
 */
userId?: string, 
/**
 * `sessionId`.
 */
sessionId?: string, 
/**
 * `clientId`.
 */
clientId?: string, 
/**
 * `status`.
 */
status?: number, 
/**
 * `error`, as sent.
 */
error?: boolean, 
/**
 * `latencyMs`.
 */
latencyMs?: number, 
/**
 * `props`.
 */
props?: Record<string, string | number | boolean>, };
