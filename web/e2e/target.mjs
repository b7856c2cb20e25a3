// What the browser tests talk to: the daemon itself (PULSEBOARDD, else ../target/debug/pulseboardd), started on a free
// port with an empty data directory. Without a binary the mock stands in, and says so; in CI that is a failure.
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { mint } from "../dev/jwt.mjs";
import { startMock } from "../dev/mock.mjs";
import { Model } from "../dev/model.mjs";

const binary =
  process.env.PULSEBOARDD ?? fileURLToPath(new URL("../../target/debug/pulseboardd", import.meta.url));
export const real = existsSync(binary);

if (!real) {
  if (process.env.CI) throw new Error(`no daemon at ${binary}: build it, or set PULSEBOARDD`);
  console.log(`no daemon at ${binary}: these tests run against the mock`);
}

function spawnDaemon(dataDir, bind, settings) {
  return new Promise((resolve, reject) => {
    const child = spawn(binary, ["--bind", bind, "--data-dir", dataDir], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...settings },
    });
    let said = "";
    let complaints = "";
    child.stderr.on("data", (chunk) => {
      complaints = (complaints + chunk).slice(-4_000);
    });
    child.stdout.on("data", (chunk) => {
      said += chunk;
      const match = /listening on (http:\/\/\S+)/.exec(said);
      if (match) resolve({ child, url: match[1] });
    });
    child.on("exit", (code) => reject(new Error(`the daemon ended with ${code}: ${complaints}`)));
    child.on("error", reject);
  });
}

const ended = (child) => new Promise((done) => (child.exitCode === null ? child.once("exit", done) : done()));

async function startDaemon(secret, settings) {
  const dataDir = mkdtempSync(join(tmpdir(), "pulseboard-e2e-"));
  const all = { ...settings, ...(secret ? { PULSEBOARD_AUTH__SECRET: secret } : {}) };
  let running = await spawnDaemon(dataDir, "127.0.0.1:0", all);
  const { url } = running;
  const down = async () => {
    running.child.kill("SIGTERM");
    await ended(running.child);
  };
  return {
    url,
    down,
    up: async () => {
      running = await spawnDaemon(dataDir, new URL(url).host, all);
    },
    stop: async () => {
      await down();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

async function startStandIn(secret) {
  const model = new Model();
  let running = await startMock({ model, secret });
  const { url, port } = running;
  return {
    url,
    down: async () => running.close(),
    up: async () => {
      running = await startMock({ model, port, secret });
    },
    stop: async () => running.close(),
  };
}

/**
 * Starts a fresh target: `url`, `down()`, `up()` on the same address and data, `stop()`, `post()`, `aggregates()`.
 * With `tokens` it has a key, and `token(claims)` mints one that it takes. `settings` are of its environment.
 */
export async function startTarget({ tokens = false, settings = {} } = {}) {
  const secret = tokens ? randomBytes(32).toString("hex") : undefined;
  const target = await (real ? startDaemon(secret, settings) : startStandIn(secret));
  const token = (claims) => mint(secret, claims);
  const asker = () => (secret ? { authorization: `Bearer ${token({ scope: "admin" })}` } : {});
  return {
    ...target,
    token,
    post: async (events) => {
      const response = await fetch(`${target.url}/api/events`, {
        method: "POST",
        headers: { ...asker(), "content-type": "application/json" },
        body: JSON.stringify(events),
      });
      const body = await response.json();
      if (!response.ok) throw new Error(JSON.stringify(body));
      return body;
    },
    aggregates: async (window, at) => {
      const query = new URLSearchParams({ window, ...(at === undefined ? {} : { at: String(at) }) });
      const response = await fetch(`${target.url}/api/aggregates?${query}`, { headers: asker() });
      return response.json();
    },
  };
}

let sequence = 0;

/** A second's worth of plausible events: `n` of them, over four routes, with one failure in ten on /checkout. */
export function someEvents(n, part = {}) {
  const routes = ["/", "/product/7", "/checkout", "/search"];
  return Array.from({ length: n }, () => {
    sequence += 1;
    const route = routes[sequence % routes.length];
    const failed = route === "/checkout" && sequence % 40 === 2;
    return {
      eventId: `e2e-${process.pid}-${sequence}`,
      type: failed ? "error" : "page_view",
      route,
      status: failed ? 503 : sequence % 9 === 0 ? 404 : 200,
      latencyMs: 10 + (sequence % 90),
      userId: `u${sequence % 23}`,
      ...part,
    };
  });
}

/** Posts every 200 ms until stopped. */
export function steadyTraffic(target, perSecond = 50) {
  let going = true;
  const done = (async () => {
    while (going) {
      // A daemon that is being restarted takes nothing; the traffic goes on.
      await target.post(someEvents(Math.ceil(perSecond / 5))).catch(() => {});
      await new Promise((next) => setTimeout(next, 200));
    }
  })();
  return async () => {
    going = false;
    await done;
  };
}
