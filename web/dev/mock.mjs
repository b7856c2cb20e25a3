// A daemon for the page's own development and tests: it speaks the contract's REST and socket from memory, and can
// be told to fail (`POST /mock`). It is no measure of anything else; the real daemon is what the page is for.
//
//   npm run mock -- --port 3000 --rate 200        traffic of its own, history filled back
//   npm run mock -- --secret S                    with tokens, signed with S
//   POST /mock {"sockets":"refuse"|"accept"|"drop"|"lag", "rest":"refuse"|"deny"|"limit"|"accept", "behindMs":N, "rate":N,
//               "nodes":{"reporting":2,"expected":3}, "notices":[{"check","level","brief","detail"}]}

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { WebSocketServer } from "ws";
import { verify } from "./jwt.mjs";
import { Model, mergePatch, range, WINDOWS } from "./model.mjs";
import { eventsOf } from "./traffic.mjs";

const GRACE_MS = 250;
const HISTORY_TICKS = 300;
/** The daemon's default for a socket whose token has no rate. */
const SOCKET_RATE = 50;
const LIMIT_RETRY_S = 9;
const dist = fileURLToPath(new URL("../dist/", import.meta.url));

export const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
  "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const MIME = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
};

const may = (scope, one) => scope.split(" ").some((word) => word === one || word === "admin");

const problem = (status, code, title, detail) => ({ type: "about:blank", title, status, code, detail });

/** Starts a daemon; answers `{url, control, close}`. */
export function startMock({ port = 0, rate = 0, model = new Model(), history = HISTORY_TICKS, secret } = {}) {
  const control = { sockets: "accept", rest: "accept", rate };
  const sessions = new Set();
  const frames = {};
  const corrections = new Map();
  let tick = Math.floor((Date.now() - GRACE_MS) / 1000) - 1;

  if (rate > 0) {
    for (const t of range(tick - history - 60, tick))
      for (const e of eventsOf(t, rate)) model.add(e, t * 1000 + 999);
  } else model.tick(tick);
  for (const window of Object.keys(WINDOWS)) frames[window] = model.aggregate(window, tick);

  function ingest(events) {
    const answer = { accepted: 0, duplicates: 0, rejected: [], rejectedTotal: 0 };
    const now = Date.now();
    events.forEach((event, index) => {
      const verdict = model.add(event, now);
      if (verdict === "accepted") {
        answer.accepted += 1;
        const at = Math.floor((event.timestamp ?? now) / 1000);
        if (at <= tick && Math.floor(now / 1000) - at <= 60) corrections.set(at, true);
      } else if (verdict === "duplicate") answer.duplicates += 1;
      else {
        answer.rejectedTotal += 1;
        if (answer.rejected.length < 100) answer.rejected.push({ index, ...verdict });
      }
    });
    return answer;
  }

  /** The ticks of one room that late events changed, at or before `last`. */
  function changedTicks(window, last) {
    const changed = new Set();
    for (const at of corrections.keys()) {
      for (let t = at; t < at + WINDOWS[window] && t <= last; t++) changed.add(t);
    }
    return [...changed].sort((a, b) => a - b);
  }

  function snapshot(window, since, lagged = 0) {
    const from = Math.max(since === undefined ? tick - HISTORY_TICKS + 1 : since + 1, tick - 3_599);
    return {
      op: "snapshot",
      room: `window:${window}`,
      tick,
      aggregate: frames[window],
      history: model.history(window, range(from, tick)),
      historyFrom: from,
      lagged,
    };
  }

  function send(session, message) {
    session.socket.send(JSON.stringify(message));
  }

  function nextTick() {
    tick += 1;
    if (control.rate > 0) for (const e of eventsOf(tick, control.rate)) model.add(e, (tick + 1) * 1000 - 1);
    model.tick(tick);
    model.ends(tick);
    for (const window of Object.keys(WINDOWS)) {
      const before = frames[window];
      const after = model.aggregate(window, tick);
      frames[window] = after;
      const changed = changedTicks(window, tick - 1);
      const delta = {
        op: "delta",
        room: `window:${window}`,
        tick,
        base: tick - 1,
        aggregate: mergePatch(before, after),
        ...(changed.length > 0 ? { corrections: model.history(window, changed) } : {}),
      };
      for (const session of sessions) {
        if (!session.rooms.has(window)) continue;
        if (session.missed > 0) continue;
        send(session, delta);
      }
      for (const session of sessions) {
        if (session.rooms.has(window) && session.missed > 0 && control.sockets !== "lag") {
          send(session, { ...snapshot(window, tick - session.missed - 1, session.missed) });
        }
      }
    }
    for (const session of sessions) session.missed = control.sockets === "lag" ? session.missed + 1 : 0;
    corrections.clear();
  }

  let timer;
  function schedule() {
    timer = setTimeout(
      () => {
        while ((tick + 2) * 1000 + GRACE_MS <= Date.now()) nextTick();
        schedule();
      },
      Math.max(1, (tick + 2) * 1000 + GRACE_MS - Date.now()),
    );
  }
  schedule();

  function json(response, status, body) {
    response.writeHead(status, {
      "content-type": status >= 400 && body.code ? "application/problem+json" : "application/json",
    });
    response.end(JSON.stringify(body));
  }

  /** Some of the daemon's metrics, moving as they would. */
  function figures() {
    const at = Date.now() / 1_000;
    const apart = model.notices.some(({ check, brief }) => check === "cluster" && /Redis/.test(brief));
    const away = model.notices.some(({ check }) => check === "store");
    return {
      pulseboard_store_lag_events: away ? 48_210 : 12,
      pulseboard_store_lag_bytes: away ? 31_400_000 : 6_100,
      pulseboard_store_lag_bytes_max: 8_600_000_000,
      pulseboard_store_lag_seconds: away ? 132.4 : 0.3,
      pulseboard_store_unwritten_aggregates: away ? 410 : 12,
      pulseboard_store_unwritten_seconds: away ? 132.4 : 0.8,
      pulseboard_store_write_seconds_sum: away ? 1 : at * 0.02,
      pulseboard_store_write_seconds_count: away ? 1 : at * 2,
      pulseboard_store_query_seconds_sum: at * 0.01,
      pulseboard_store_query_seconds_count: at * 2,
      pulseboard_events_accepted_total: Math.round(at * 240),
      pulseboard_events_duplicate_total: 12,
      'pulseboard_events_rejected_total{code="too_old"}': 3,
      pulseboard_ingest_ack_seconds_sum: at * 0.02,
      pulseboard_ingest_ack_seconds_count: at * 24,
      pulseboard_journal_bytes: 1_240_000_000,
      pulseboard_journal_events: 3_104_220,
      pulseboard_journal_sync_seconds_sum: at * 0.011,
      pulseboard_journal_sync_seconds_count: at * 20,
      pulseboard_disk_free_bytes: 52_000_000_000,
      pulseboard_disk_size_bytes: 250_000_000_000,
      pulseboard_resident_memory_bytes: 121_000_000,
      pulseboard_cpu_seconds_total: at * 0.07,
      pulseboard_cluster_up: apart ? 0 : 1,
      'pulseboard_claims_total{outcome="ours"}': apart ? 5 : at * 232.4,
      'pulseboard_claims_total{outcome="pending"}': apart ? 0 : at * 0.2,
      'pulseboard_claims_total{outcome="taken"}': apart ? 0 : at * 6.1,
      'pulseboard_claims_total{outcome="lost"}': 0,
      'pulseboard_claims_total{outcome="away"}': apart ? at * 238 : 0,
      'pulseboard_claims_total{outcome="full"}': 0,
      pulseboard_claims_seconds_sum: apart ? 1 : at * 0.08,
      pulseboard_claims_seconds_count: apart ? 1 : at * 100,
      pulseboard_claims_unconfirmed: apart ? 48_210 : 0,
      pulseboard_claims_conflicts_total: 0,
      pulseboard_claims_held: 1_204_221,
      pulseboard_claims_horizon_seconds: 86_460,
      pulseboard_cluster_ticks_received_total: at * 2,
      pulseboard_sockets: sessions.size,
      pulseboard_uptime_seconds: 12_000,
    };
  }

  function applyControl(change) {
    Object.assign(control, change);
    if (change.behindMs !== undefined) model.behindMs = change.behindMs;
    if (change.nodes !== undefined) model.nodes = change.nodes;
    if (change.notices !== undefined) model.notices = change.notices;
    if (change.sockets === "drop" || change.sockets === "refuse") {
      for (const session of sessions) session.socket.terminate();
      if (change.sockets === "drop") control.sockets = "accept";
    }
  }

  /** Why a REST call is not answered, in a daemon with a key. */
  function refusal(request, scope) {
    if (!secret) return undefined;
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? "")?.[1];
    if (!token) return problem(401, "unauthorized", "Unauthorized", "this needs a token");
    const grant = verify(token, secret);
    if (grant.code) return problem(401, grant.code, "Unauthorized", grant.message);
    if (may(grant.scope, scope)) return undefined;
    return problem(403, "wrong_scope", "Forbidden", `this needs a token with the scope ${scope}`);
  }

  function asset(path, response) {
    const file = join(dist, normalize(path === "/" ? "/index.html" : path));
    try {
      const body = readFileSync(file);
      response.writeHead(200, {
        "content-type": MIME[extname(file)] ?? "application/octet-stream",
        "content-security-policy": CSP,
      });
      response.end(body);
    } catch {
      json(response, 404, problem(404, "not_found", "Not found", "no such page"));
    }
  }

  const server = createServer((request, response) => {
    const url = new URL(request.url, "http://mock");
    let body = "";
    request.on("data", (chunk) => {
      body += chunk;
    });
    request.on("end", () => {
      if (url.pathname === "/mock") {
        applyControl(JSON.parse(body || "{}"));
        return json(response, 200, { ...control, tick });
      }
      if (url.pathname === "/health") return json(response, 200, { status: "ok" });
      if (url.pathname === "/metrics") {
        const refused = refusal(request, "read");
        return refused ? json(response, refused.status, refused) : json(response, 200, figures());
      }
      if (!url.pathname.startsWith("/api/")) return asset(url.pathname, response);
      if (control.rest === "refuse") return request.socket.destroy();
      if (control.rest === "deny") {
        return json(
          response,
          403,
          problem(403, "dev_mode_is_local", "Forbidden", "without a key only loopback requests are answered"),
        );
      }
      if (control.rest === "limit" && request.method === "GET") {
        response.setHeader("retry-after", String(LIMIT_RETRY_S));
        return json(response, 429, problem(429, "rate_limited", "Too many requests", "100 calls a minute"));
      }
      const refused = refusal(request, request.method === "POST" ? "ingest" : "read");
      if (refused) return json(response, refused.status, refused);
      if (url.pathname === "/api/aggregates") {
        const window = url.searchParams.get("window") ?? "5s";
        if (!(window in WINDOWS))
          return json(response, 422, problem(422, "unknown_window", "Unknown window", window));
        const since = url.searchParams.get("since");
        const at = url.searchParams.get("at");
        if (at !== null) {
          if (since !== null)
            return json(response, 422, problem(422, "conflicting_parameters", "Conflict", "at or since"));
          const then = {
            room: `window:${window}`,
            tick: Number(at),
            aggregate: model.aggregate(window, Number(at)),
          };
          return json(response, 200, { ...then, lagged: 0 });
        }
        const answer = snapshot(window, since === null ? undefined : Number(since));
        return json(response, 200, answer);
      }
      if (url.pathname === "/api/events" && request.method === "POST") {
        try {
          const parsed = JSON.parse(body);
          const answer = ingest(Array.isArray(parsed) ? parsed : [parsed]);
          return json(response, 200, { ...answer, durable: true });
        } catch {
          return json(
            response,
            400,
            problem(400, "malformed_json", "Malformed JSON", "the body is not JSON"),
          );
        }
      }
      return json(response, 404, problem(404, "not_found", "Not found", url.pathname));
    });
  });

  const sockets = new WebSocketServer({
    noServer: true,
    handleProtocols: (offered) => (offered.has("pulseboard.v1") ? "pulseboard.v1" : false),
  });
  server.on("upgrade", (request, stream, head) => {
    if (!request.url.startsWith("/ws") || control.sockets === "refuse") return stream.destroy();
    sockets.handleUpgrade(request, stream, head, (socket) => welcome(socket));
  });

  function welcome(socket) {
    const session = { socket, rooms: new Set(), missed: 0, grant: undefined };
    sessions.add(session);
    socket.on("close", () => {
      clearTimeout(session.ends);
      sessions.delete(session);
    });
    socket.on("message", (data) => receive(session, JSON.parse(data.toString())));
    greet(session);
  }

  function greet(session) {
    const { grant } = session;
    const scope = secret ? (grant?.scope ?? "") : "read ingest admin";
    const limit = grant && may(scope, "ingest") ? { eventsPerSecond: grant.rate ?? SOCKET_RATE } : {};
    send(session, {
      op: "welcome",
      protocol: 1,
      node: "mock-1",
      tick,
      windows: Object.keys(WINDOWS),
      auth: secret ? (grant ? "ok" : "required") : "dev",
      scope,
      limits: { publishBytes: 1_048_576, rooms: 32, ...limit },
    });
  }

  /** Takes a token, or ends the session. */
  function authenticate(session, token) {
    const grant = verify(token, secret);
    if (grant.code) {
      send(session, { op: "error", code: grant.code, message: grant.message });
      return session.socket.close(1008, grant.code);
    }
    session.grant = grant;
    clearTimeout(session.ends);
    const leftMs = Math.min(grant.endsMs - Date.now(), 2 ** 31 - 1);
    session.ends = setTimeout(() => session.socket.close(1008, "token_expired"), leftMs);
    greet(session);
  }

  /** Why a session may not do something. */
  function barred(session, scope) {
    if (!secret) return undefined;
    if (!session.grant) return { code: "unauthorized", message: "this needs a token; send `auth` first" };
    if (may(session.grant.scope, scope)) return undefined;
    return { code: "wrong_scope", message: `this needs a token with the scope ${scope}` };
  }

  function publish(session, { id, events }) {
    const bar = barred(session, "ingest") ?? overLimit(session, events.length);
    send(session, bar ? { op: "error", id, ...bar } : { op: "ack", id, ...ingest(events) });
  }

  function overLimit(session, events) {
    if (!session.grant) return undefined;
    const rate = session.grant.rate ?? SOCKET_RATE;
    const now = Date.now();
    const gained = ((now - (session.countedAtMs ?? 0)) * rate) / 1_000;
    const left = Math.min(2 * rate, (session.left ?? 2 * rate) + gained);
    session.countedAtMs = now;
    session.left = left >= events ? left - events : left;
    if (left >= events) return undefined;
    const retryAfterMs = Math.ceil(((events - left) * 1_000) / rate);
    return { code: "rate_limited", message: `${rate} events a second are taken`, retryAfterMs };
  }

  function receive(session, message) {
    if (message.op === "auth") return secret ? authenticate(session, message.token) : greet(session);
    if (message.op === "subscribe") {
      const bar = barred(session, "read");
      if (bar) return send(session, { op: "error", room: message.rooms[0], ...bar });
      for (const room of message.rooms) {
        const window = room.replace("window:", "");
        if (window in WINDOWS) {
          session.rooms.add(window);
          send(session, snapshot(window, message.since?.[room]));
        } else send(session, { op: "error", room, code: "unknown_room", message: `no room ${room}` });
      }
    } else if (message.op === "unsubscribe") {
      for (const room of message.rooms) {
        session.rooms.delete(room.replace("window:", ""));
        send(session, { op: "unsubscribed", room });
      }
    } else if (message.op === "publish") publish(session, message);
    else if (message.op === "ping") send(session, { op: "pong", id: message.id });
    else send(session, { op: "error", code: "unknown_op", message: `unknown op ${message.op}` });
  }

  return new Promise((resolve, reject) => {
    server.on("error", reject);
    server.listen(port, "127.0.0.1", () => {
      const { port: bound } = server.address();
      resolve({
        url: `http://127.0.0.1:${bound}`,
        port: bound,
        model,
        control: applyControl,
        close: () => {
          clearTimeout(timer);
          for (const session of sessions) session.socket.close(1012, "restarting");
          server.close();
          server.closeAllConnections();
        },
      });
    });
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      port: { type: "string", default: "3000" },
      rate: { type: "string", default: "0" },
      secret: { type: "string" },
    },
  });
  const { port, rate, secret } = values;
  const mock = await startMock({ port: Number(port), rate: Number(rate), secret });
  console.log(`listening on ${mock.url}`);
}
